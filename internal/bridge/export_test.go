package bridge

// MakeNamespace is for namespaces that are no service's.
var MakeNamespace = makeNamespace
