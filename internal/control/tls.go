package control

// Route about the certificates of the engine, for root only:
//
//	POST /v1/tls   body TLSAsk, answers TLSMade

// TLSAsk says for whom a certificate is made.
type TLSAsk struct {
	Server bool     `json:"server,omitempty"` // the engine; else a client
	Hosts  []string `json:"hosts,omitempty"`  // what clients call the server
	Name   string   `json:"name,omitempty"`   // of the client
}

// TLSMade is a certificate with its key and the authority that has signed it.
type TLSMade struct {
	CA      string         `json:"ca"` // PEM, like the others
	Cert    string         `json:"cert"`
	Key     string         `json:"key"`
	NewCA   bool           `json:"new_ca,omitempty"` // the authority was made for it
	Applied *ConfigApplied `json:"applied,omitempty"`
}
