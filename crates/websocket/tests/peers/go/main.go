// Go's gorilla/websocket and coder/websocket as peers:
// peer gorilla|coder client URL plain|compressed, or peer gorilla|coder server ADDRESS plain|compressed.
package main

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
)

// connection is what both libraries can do.
type connection interface {
	write(text bool, data []byte) error
	read() (text bool, data []byte, err error)
	// close sends 4000 and returns the code that the peer answered with.
	close() (int, error)
}

func main() {
	library, role, where, compressed := os.Args[1], os.Args[2], os.Args[3], os.Args[4] == "compressed"
	if role == "server" {
		listener, err := net.Listen("tcp", where)
		check(err)
		fmt.Printf("ws://%s\n", listener.Addr())
		check(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			serve(accept(library, w, r, compressed))
		})))
	}
	talk(dial(library, where, compressed))
}

func serve(socket connection) {
	for {
		text, data, err := socket.read()
		if err != nil {
			return
		}
		check(socket.write(text, data))
	}
}

func talk(socket connection) {
	echo := func(text bool, data []byte) {
		check(socket.write(text, data))
		gotText, got, err := socket.read()
		check(err)
		if gotText != text || !bytes.Equal(got, data) {
			log.Fatalf("%d bytes came back as %d others", len(data), len(got))
		}
	}
	for _, size := range []int{0, 1, 125, 126, 65535, 65536, 300000} {
		echo(true, []byte(strings.Repeat("ä", size)))
		echo(false, bytes.Repeat([]byte("abcdefg"), size/7))
	}
	for number := range 200 {
		echo(true, fmt.Appendf(nil, "message %d", number))
	}
	code, err := socket.close()
	check(err)
	if code != 4000 {
		log.Fatalf("closing was answered with %d", code)
	}
}

func checkAgreed(header http.Header, compressed bool) {
	if agreed := strings.Contains(header.Get("Sec-Websocket-Extensions"), "permessage-deflate"); agreed != compressed {
		log.Fatalf("extensions: %v", header["Sec-Websocket-Extensions"])
	}
}

func accept(library string, w http.ResponseWriter, r *http.Request, compressed bool) connection {
	checkAgreed(r.Header, compressed)
	if library == "gorilla" {
		upgrader := gorilla.Upgrader{EnableCompression: compressed}
		socket, err := upgrader.Upgrade(w, r, nil)
		check(err)
		return gorillaConnection{socket}
	}
	socket, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: mode(compressed), CompressionThreshold: 1})
	check(err)
	socket.SetReadLimit(-1)
	return coderConnection{socket}
}

func dial(library, url string, compressed bool) connection {
	if library == "gorilla" {
		dialer := gorilla.Dialer{EnableCompression: compressed}
		socket, response, err := dialer.Dial(url, nil)
		check(err)
		checkAgreed(response.Header, compressed)
		return gorillaConnection{socket}
	}
	options := &websocket.DialOptions{CompressionMode: mode(compressed), CompressionThreshold: 1}
	socket, response, err := websocket.Dial(context.Background(), url, options)
	check(err)
	checkAgreed(response.Header, compressed)
	socket.SetReadLimit(-1)
	return coderConnection{socket}
}

func mode(compressed bool) websocket.CompressionMode {
	if compressed {
		return websocket.CompressionContextTakeover
	}
	return websocket.CompressionDisabled
}

type gorillaConnection struct{ *gorilla.Conn }

func (c gorillaConnection) write(text bool, data []byte) error {
	kind := gorilla.BinaryMessage
	if text {
		kind = gorilla.TextMessage
	}
	return c.WriteMessage(kind, data)
}

func (c gorillaConnection) read() (bool, []byte, error) {
	kind, data, err := c.ReadMessage()
	return kind == gorilla.TextMessage, data, err
}

func (c gorillaConnection) close() (int, error) {
	if err := c.WriteMessage(gorilla.CloseMessage, gorilla.FormatCloseMessage(4000, "bye")); err != nil {
		return 0, err
	}
	_, _, err := c.ReadMessage()
	if closed, ok := err.(*gorilla.CloseError); ok {
		return closed.Code, nil
	}
	return 0, err
}

type coderConnection struct{ *websocket.Conn }

func (c coderConnection) write(text bool, data []byte) error {
	kind := websocket.MessageBinary
	if text {
		kind = websocket.MessageText
	}
	return c.Write(context.Background(), kind, data)
}

func (c coderConnection) read() (bool, []byte, error) {
	kind, data, err := c.Read(context.Background())
	return kind == websocket.MessageText, data, err
}

func (c coderConnection) close() (int, error) {
	return 4000, c.Close(4000, "bye") // it fails unless the answer is the same code
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
