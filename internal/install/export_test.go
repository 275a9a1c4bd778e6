package install

// Script is what sfdisk is told.
func Script(l Layout, ids IDs) string { return l.script(ids) }
