package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/rosteros/ros/internal/yamldoc"
)

// decode reads a leaf. What is wrong with it, or with an entry of it, it says;
// false: nothing is left that counts.
func (l *loader) decode(k *key, v yamldoc.Value) (reflect.Value, bool) {
	out := reflect.New(k.typ).Elem()
	var err error
	switch field := out.Addr().Interface().(type) {
	case *string:
		*field, err = l.text(k, v)
	case *Secret:
		*field, err = kept[Secret](l.text(k, v))
	case *Password:
		*field, err = kept[Password](l.text(k, v))
		l.plainPassword(v, *field)
	case *bool:
		*field, err = l.boolean(v)
	case **bool:
		var b bool
		b, err = l.boolean(v)
		*field = &b
	case *int:
		*field, err = l.number(k, v)
	case *EtcHosts:
		*field, err = l.etcHosts(v)
	case *FileMode:
		*field, err = l.fileMode(v)
	case *Size:
		*field, err = l.size(v)
	case *Command:
		*field, err = l.command(v)
	case *Sudo:
		*field, err = l.sudo(v)
	case *Mount:
		*field, err = l.mount(v)
	case *Group:
		*field, err = l.group(v)
	case *Words:
		return out, l.list(k, out, l.words(v))
	case *[]Group:
		return out, l.groups(k, out, v)
	default:
		if k.typ.Kind() == reflect.Slice {
			return out, l.list(k, out, l.items(k, v))
		}
		return out, l.record(k, out, v)
	}
	if err != nil {
		l.fault(v, "%v", err)
	}
	return out, err == nil
}

func kept[T ~string](text string, err error) (T, error) { return T(text), err }

// items are the entries of a list. One entry need not be in brackets, as on the
// kernel command line nobody writes them.
func (l *loader) items(k *key, v yamldoc.Value) []yamldoc.Value {
	switch v.Kind() {
	case yamldoc.List:
		return v.Items()
	case yamldoc.Mapping:
		l.fault(v, "must be a list")
		return nil
	}
	if k.elem.keys != nil {
		l.fault(v, "must be a list of mappings (- %s: …)", k.elem.keys[0].name)
		return nil
	}
	return []yamldoc.Value{v}
}

// list reads the entries, leaving out those that are wrong. A list of which
// nothing is left does not count: a lower layer may know better.
func (l *loader) list(k *key, out reflect.Value, items []yamldoc.Value) bool {
	list := reflect.MakeSlice(k.typ, 0, len(items))
	faulty := false
	for _, item := range items {
		if k.typ == reflect.TypeFor[[]User]() && item.Text() == "default" {
			continue // cloud-init's word for the user that is there anyway
		}
		entry, ok := l.decode(k.elem, item)
		if ok && entry.Kind() == reflect.String && strings.TrimSpace(entry.String()) == "" {
			l.fault(item, "must not be empty")
			ok = false
		}
		if !ok {
			faulty = true
			continue
		}
		if checks[k.check].once && slices.Contains(list.Interface().([]string), entry.String()) {
			continue
		}
		list = reflect.Append(list, entry)
	}
	out.Set(list)
	return list.Len() > 0 || !faulty && items != nil
}

// record reads a mapping in a list. It counts as a whole or not at all: a file
// without the permissions that were meant would be worse than none.
func (l *loader) record(k *key, out reflect.Value, v yamldoc.Value) bool {
	if v.Kind() != yamldoc.Mapping {
		l.fault(v, "must be a mapping (%s: …)", k.keys[0].name)
		return false
	}
	good := true
	given := map[string]bool{}
	for _, p := range v.Pairs() {
		child := k.child(p.Key)
		if child == nil {
			l.foreign(k, p.Key, p.Value.Path.String(), at(p))
			continue
		}
		if p.Value.Tag() == "!!null" {
			continue
		}
		l.notes(child, at(p), p.Value.Path.String())
		value, ok := l.decode(child, p.Value)
		if !ok {
			good = false
			continue
		}
		given[child.name] = true
		out.Field(child.field).Set(value)
	}
	for _, child := range k.keys {
		if child.needed && !given[child.name] {
			if good {
				l.fault(v, "lacks %s", child.name)
			}
			good = false
		}
	}
	if file, ok := out.Interface().(File); ok && good && !file.decodes() {
		l.fault(v, "content is not the base64 that encoding says it is")
		return false
	}
	return good
}

// decodes says whether content is base64 where encoding says so. What is packed
// in it shows when it is written.
func (f File) decodes() bool {
	if !strings.HasSuffix(f.Encoding, "b64") && !strings.HasSuffix(f.Encoding, "base64") {
		return true
	}
	_, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(f.Content), ""))
	return err == nil
}

// text reads a scalar as it is written. A number is fine where text is wanted:
// nobody quotes a password of digits, least of all on a kernel command line.
func (l *loader) text(k *key, v yamldoc.Value) (string, error) {
	text, err := l.scalar(v)
	if err != nil {
		return "", fmt.Errorf("must be %s", checks[k.check].must)
	}
	c := checks[k.check]
	if k.typ == reflect.TypeFor[Secret]() {
		c = checks["text"]
	}
	if v.Tag() == "!!binary" {
		raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
		if err != nil {
			return "", errors.New("is tagged !!binary, but is no base64")
		}
		if k.check == "text" {
			return string(raw), nil
		}
		text = string(raw)
	}
	if !utf8.ValidString(text) {
		return "", errors.New("is not text in UTF-8")
	}
	return c.apply(text)
}

var errNoScalar = errors.New("is no scalar")

// scalar is the text of a scalar. All texts of a layer are counted: aliases
// could multiply a large one.
func (l *loader) scalar(v yamldoc.Value) (string, error) {
	if v.Kind() != yamldoc.Scalar {
		return "", errNoScalar
	}
	text := v.Text()
	if l.taken += len(text); l.taken > maxText {
		return "", errNoScalar
	}
	return text, nil
}

// maxText is how much text the values of one layer may have together.
const maxText = 4 * yamldoc.MaxSize

func (l *loader) boolean(v yamldoc.Value) (bool, error) {
	text, err := l.scalar(v)
	switch word := strings.ToLower(text); {
	case err != nil:
	case slices.Contains([]string{"true", "yes", "on", "1"}, word):
		return true, nil
	case slices.Contains([]string{"false", "no", "off", "0"}, word):
		return false, nil
	}
	return false, errors.New("must be true or false")
}

func (l *loader) number(k *key, v yamldoc.Value) (int, error) {
	text, err := l.scalar(v)
	if err != nil {
		return 0, checks[k.check].fault()
	}
	return checks[k.check].number(text)
}

func (l *loader) etcHosts(v yamldoc.Value) (EtcHosts, error) {
	if text, err := l.scalar(v); err == nil && text == "localhost" {
		return "localhost", nil
	}
	on, err := l.boolean(v)
	if err != nil {
		return "", errors.New("must be true, false or localhost")
	}
	return EtcHosts(strconv.FormatBool(on)), nil
}

// fileMode reads digits as octal however YAML would read them.
func (l *loader) fileMode(v yamldoc.Value) (FileMode, error) {
	text, _ := l.scalar(v)
	digits := strings.TrimPrefix(strings.TrimPrefix(text, "0o"), "0O")
	mode, err := strconv.ParseUint(digits, 8, 32)
	if err != nil || mode == 0 || mode > 0o7777 {
		return 0, errors.New(`must be permissions in octal, such as "0644"`)
	}
	return FileMode(mode), nil
}

var units = map[string]int64{"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}

func (l *loader) size(v yamldoc.Value) (Size, error) {
	text, _ := l.scalar(v)
	if text == "auto" {
		return -1, nil
	}
	m := compiled(`^([0-9]+) ?([KMGT]?)(I?B)?$`).FindStringSubmatch(strings.ToUpper(strings.TrimSpace(text)))
	if m != nil {
		n, err := strconv.ParseInt(m[1], 10, 64)
		if unit := units[m[2]]; err == nil && n <= math.MaxInt64/unit {
			return Size(n * unit), nil
		}
	}
	return 0, errors.New("must be a size: a number of bytes, 512M, 1G, or auto")
}

// command reads a line for the shell, or words for no shell.
func (l *loader) command(v yamldoc.Value) (Command, error) {
	if v.Kind() == yamldoc.List {
		words := []string{}
		for _, item := range v.Items() {
			word, err := l.scalar(item)
			if err != nil || strings.Contains(word, "\x00") || !utf8.ValidString(word) {
				return Command{}, errors.New("must be a command: a line for the shell, or a list of words")
			}
			words = append(words, word)
		}
		if len(words) > 0 && words[0] != "" {
			return Command{Words: words}, nil
		}
	}
	line, err := l.scalar(v)
	if err != nil || strings.TrimSpace(line) == "" || strings.Contains(line, "\x00") || !utf8.ValidString(line) {
		return Command{}, errors.New("must be a command: a line for the shell, or a list of words")
	}
	return Command{Line: line}, nil
}

// sudo reads one rule or a list of them. A rule that sudo cannot read would
// keep sudo from working for everybody.
func (l *loader) sudo(v yamldoc.Value) (Sudo, error) {
	wrong := errors.New("must be rules of sudoers such as ALL=(ALL) NOPASSWD:ALL, or false")
	if on, err := l.boolean(v); err == nil {
		if on {
			return nil, wrong
		}
		return Sudo{}, nil
	}
	items := []yamldoc.Value{v}
	if v.Kind() == yamldoc.List {
		items = v.Items()
	}
	rules := Sudo{}
	for _, item := range items {
		rule, err := l.scalar(item)
		rule = strings.TrimSpace(rule)
		if err != nil || !compiled(`^[A-Za-z0-9_.,! -]+=[^\x00-\x1f\\]+$`).MatchString(rule) || !utf8.ValidString(rule) {
			return nil, wrong
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

// mount reads [device, path, type, options]. RancherOS wanted all four; of the
// six of fstab the last two mean nothing here.
func (l *loader) mount(v yamldoc.Value) (Mount, error) {
	items := v.Items()
	if v.Kind() != yamldoc.List || len(items) < 2 || len(items) > 6 {
		return Mount{}, errors.New("must be a list: [device, path, type, options]")
	}
	var words [6]string
	for i, item := range items {
		word, err := l.scalar(item)
		if err != nil || strings.ContainsAny(word, "\x00\n\r") || !utf8.ValidString(word) {
			return Mount{}, errors.New("must be a list of texts: [device, path, type, options]")
		}
		if item.Tag() != "!!null" {
			words[i] = strings.TrimSpace(word)
		}
	}
	m := Mount{Device: words[0], Path: words[1], Type: words[2], Options: words[3]}
	if m.Type == "" {
		m.Type = "auto"
	}
	swap := m.Type == "swap" && (m.Path == "" || m.Path == "none" || m.Path == "swap")
	switch {
	case m.Device == "":
		return Mount{}, errors.New("lacks the device, the first of [device, path, type, options]")
	case swap:
		m.Path = "none"
	case !strings.HasPrefix(m.Path, "/"):
		return Mount{}, errors.New("lacks an absolute path, the second of [device, path, type, options]")
	}
	return m, nil
}

var errGroup = errors.New("must be the name of a group, or name: [members]")

// groups reads a list of groups; one mapping or one text with commas will do.
func (l *loader) groups(k *key, out reflect.Value, v yamldoc.Value) bool {
	if v.Kind() != yamldoc.Mapping {
		return l.list(k, out, l.words(v))
	}
	list, faulty := []Group{}, false
	for _, p := range v.Pairs() {
		g, err := l.groupOf(p)
		if err != nil {
			l.fault(p.Value, "%v", err)
			faulty = true
			continue
		}
		list = append(list, g)
	}
	out.Set(reflect.ValueOf(list))
	return len(list) > 0 || !faulty
}

// group reads an entry of that list: "name" or "name: [members]".
func (l *loader) group(v yamldoc.Value) (Group, error) {
	if v.Kind() == yamldoc.Scalar {
		name, err := l.account(v)
		return Group{Name: name}, err
	}
	if pairs := v.Pairs(); len(pairs) == 1 {
		return l.groupOf(pairs[0])
	}
	return Group{}, errGroup
}

func (l *loader) groupOf(p yamldoc.Pair) (Group, error) {
	name, err := checks["account"].apply(p.Key)
	if err != nil || name == "" || p.Value.Kind() == yamldoc.Mapping {
		return Group{}, errGroup
	}
	g := Group{Name: name}
	if p.Value.Tag() == "!!null" {
		return g, nil
	}
	for _, item := range l.words(p.Value) {
		member, err := l.account(item)
		if err != nil {
			return Group{}, err
		}
		g.Members = append(g.Members, member)
	}
	return g, nil
}

func (l *loader) account(v yamldoc.Value) (string, error) {
	text, err := l.scalar(v)
	if err != nil || text == "" {
		return "", errGroup
	}
	if text, err = checks["account"].apply(text); err != nil {
		return "", errGroup
	}
	return text, nil
}

// words are the entries of a list, or of a text with commas.
func (l *loader) words(v yamldoc.Value) []yamldoc.Value {
	if v.Kind() != yamldoc.Scalar {
		return v.Items()
	}
	items := []yamldoc.Value{}
	for word := range strings.SplitSeq(v.Text(), ",") {
		if word = strings.TrimSpace(word); word != "" {
			item := yamldoc.NewScalar(word, v.Path)
			item.Line, item.Column = v.Line, v.Column
			items = append(items, item)
		}
	}
	return items
}

// compiled compiles a pattern once: most are not needed in most runs.
func compiled(pattern string) *regexp.Regexp {
	if re, ok := patterns.Load(pattern); ok {
		return re.(*regexp.Regexp)
	}
	re := regexp.MustCompile(pattern)
	patterns.Store(pattern, re)
	return re
}

var patterns sync.Map // of pattern to *regexp.Regexp
