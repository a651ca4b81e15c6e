"""Reads a topic to its end and parses each message, nothing else. Arguments: brokers, topic, how many messages."""
import json
import resource
import sys
import time

from confluent_kafka import Consumer

brokers, topic, events = sys.argv[1], sys.argv[2], int(sys.argv[3])
consumer = Consumer(
    {
        "bootstrap.servers": brokers,
        "group.id": f"peer-{topic}",
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    }
)
consumer.subscribe([topic])
seen = 0
total = 0.0
started = None
cpu = 0.0
while seen < events:
    for message in consumer.consume(5000, 1.0):
        if message.error():
            raise SystemExit(str(message.error()))
        if started is None:
            started, cpu = time.perf_counter(), time.process_time()
        total += json.loads(message.value())["amount"]
        seen += 1
seconds = time.perf_counter() - started
print(
    json.dumps(
        {
            "seconds": seconds,
            "cpuSeconds": time.process_time() - cpu,
            "rssBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
    )
)
consumer.close()
