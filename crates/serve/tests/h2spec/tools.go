// Pins h2spec and what it needs, for the script `run`.

//go:build tools

package tools

import _ "github.com/summerwind/h2spec/cmd/h2spec"
