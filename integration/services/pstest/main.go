// Serves Google's pstest. A line on stdin is answered with what became of all messages, as JSON.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"cloud.google.com/go/pubsub/v2/pstest"
	"google.golang.org/protobuf/types/known/emptypb"
)

// loses answers every nth call and forgets it.
type loses struct {
	every int64
	calls atomic.Int64
	lost  atomic.Int64
}

func (l *loses) React(_ interface{}) (bool, interface{}, error) {
	if l.every == 0 || l.calls.Add(1)%l.every != 0 {
		return false, nil, nil
	}
	l.lost.Add(1)
	return true, &emptypb.Empty{}, nil
}

func main() {
	port := flag.Int("port", 0, "")
	minDeadline := flag.Duration("min-ack-deadline", 0, "the shortest deadline of a subscription; 0: none has to be given")
	loseAcks := flag.Int64("lose-acks", 0, "every nth acknowledgement gets lost")
	loseExtensions := flag.Int64("lose-extensions", 0, "every nth extension of a deadline gets lost")
	flag.Parse()
	if *minDeadline >= time.Second {
		pstest.SetMinAckDeadline(*minDeadline)
	}
	acks, extensions := &loses{every: *loseAcks}, &loses{every: *loseExtensions}
	server := pstest.NewServerWithPort(*port,
		pstest.ServerReactorOption{FuncName: "Acknowledge", Reactor: acks},
		pstest.ServerReactorOption{FuncName: "ModifyAckDeadline", Reactor: extensions})
	defer server.Close()
	fmt.Println(server.Addr)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		messages, deliveries, unacknowledged := 0, 0, 0
		for _, message := range server.Messages() {
			messages++
			deliveries += message.Deliveries
			if message.Acks == 0 {
				unacknowledged++
			}
		}
		json.NewEncoder(os.Stdout).Encode(map[string]int{
			"messages": messages, "deliveries": deliveries, "unacknowledged": unacknowledged,
			"lostAcks": int(acks.lost.Load()), "lostExtensions": int(extensions.lost.Load()),
		})
	}
}
