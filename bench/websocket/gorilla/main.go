// The servers of the comparison, echo and fan-out, with github.com/gorilla/websocket.
//
// A goroutine reads each connection and, where it subscribes, another one writes, as in the library's own examples. Messages
// are read into a buffer that is kept, and fan-out sends a prepared message. Text is checked as UTF-8, because the library
// leaves that to its user and the other engines do it themselves.
package main

import (
	"bytes"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// Frames a subscriber may lag behind.
const backlog = 1024

var upgrader = websocket.Upgrader{ReadBufferSize: 4096, WriteBufferSize: 4096}

// room holds the queues of all subscribers.
var room struct {
	sync.Mutex
	queues []chan *websocket.PreparedMessage
}

// receive calls answer with every message until the connection ends.
func receive(socket *websocket.Conn, answer func(kind int, message []byte) error) {
	defer socket.Close()
	var buffer bytes.Buffer
	for {
		kind, reader, err := socket.NextReader()
		if err != nil {
			return
		}
		buffer.Reset()
		if _, err := buffer.ReadFrom(reader); err != nil {
			return
		}
		if kind == websocket.TextMessage && !utf8.Valid(buffer.Bytes()) {
			return
		}
		if answer(kind, buffer.Bytes()) != nil {
			return
		}
	}
}

func publish(kind int, message []byte) error {
	// The buffer is used again, so the room gets a copy.
	prepared, err := websocket.NewPreparedMessage(kind, bytes.Clone(message))
	if err != nil {
		return err
	}
	room.Lock()
	defer room.Unlock()
	for _, queue := range room.queues {
		queue <- prepared
	}
	return nil
}

func subscribe(socket *websocket.Conn) {
	queue := make(chan *websocket.PreparedMessage, backlog)
	room.Lock()
	room.queues = append(room.queues, queue)
	room.Unlock()
	go func() {
		for message := range queue {
			if socket.WritePreparedMessage(message) != nil {
				return
			}
		}
	}()
	receive(socket, func(int, []byte) error { return nil })
}

func serve(writer http.ResponseWriter, request *http.Request) {
	socket, err := upgrader.Upgrade(writer, request, nil)
	if err != nil {
		return
	}
	switch request.URL.Path {
	case "/subscribe":
		subscribe(socket)
	case "/publish":
		receive(socket, publish)
	default:
		receive(socket, socket.WriteMessage)
	}
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr())
	log.Fatal(http.Serve(listener, http.HandlerFunc(serve)))
}
