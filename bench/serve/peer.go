// The application of peers.rs on Go's net/http: go run peer.go ADDRESS.
package main

import (
	"io"
	"net/http"
	"os"
)

const json = `{"id":"0190f3a2-7d2c-7e61-9d1c-3f5a7b8c9d0e","name":"Ana","rooms":["general","random"],"online":true}`

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, "hello")
	})
	mux.HandleFunc("GET /json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, json)
	})
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Write(body)
	})
	if err := http.ListenAndServe(os.Args[1], mux); err != nil {
		panic(err)
	}
}
