"""Calls a server with Triton's and KServe's own clients; prints what each check found."""

import asyncio
import json
import sys

import numpy as np
import tritonclient.http as triton
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from tritonclient.utils import InferenceServerException

address, rows_file = sys.argv[1:]
with open(rows_file) as file:
    given = json.load(file)
columns = ["spend", "amount", "n_trips", "is_new"]
table = np.column_stack([np.asarray(given["rows"][name], dtype=np.float32) for name in columns])
expected = np.asarray(given["predictions"])
checks = []


def check(client, what, passed, found=None):
    checks.append({"client": client, "what": what, "passed": bool(passed), "found": None if passed else str(found)})


def equal(found, wanted=expected):
    return found is not None and np.array_equal(np.asarray(found, dtype=np.float64).reshape(-1), wanted)


def triton_checks():
    client = triton.InferenceServerClient(address.removeprefix("http://"))
    say = lambda what, passed, found=None: check("tritonclient", what, passed, found)
    say("server is live", client.is_server_live())
    say("server is ready", client.is_server_ready())
    say("model is ready", client.is_model_ready("risk"))
    say("unknown model is not ready", not client.is_model_ready("nope"))
    metadata = client.get_model_metadata("risk")
    say("metadata name the columns", [i["name"] for i in metadata["inputs"]] == columns, metadata)
    version = metadata["versions"][0]
    say("version is ready", client.is_model_ready("risk", version))
    say("server metadata", client.get_server_metadata()["name"] == "millrace")
    say("repository index", client.get_model_repository_index()[0]["state"] == "READY")
    say("model config", client.get_model_config("risk")["name"] == "risk")

    def whole(datatype, dtype, binary):
        tensor = triton.InferInput("input-0", list(table.shape), datatype)
        tensor.set_data_from_numpy(table.astype(dtype), binary_data=binary)
        return [tensor]

    for binary in [True, False]:
        for datatype, dtype in [("FP32", np.float32), ("FP64", np.float64)]:
            result = client.infer("risk", whole(datatype, dtype, binary), request_id="one")
            found = result.as_numpy("probability")
            how = "binary" if binary else "JSON"
            say(f"[rows, columns] of {datatype} in {how}", equal(found), found)
            say(f"the id comes back with {datatype} in {how}", result.get_response()["id"] == "one")
    for binary in [True, False]:
        asked = [triton.InferRequestedOutput("probability", binary_data=binary)]
        found = client.infer("risk", whole("FP32", np.float32, True), outputs=asked).as_numpy("probability")
        say(f"requested output, {'binary' if binary else 'JSON'}", equal(found), found)
    for algorithm in ["gzip", "deflate"]:
        result = client.infer(
            "risk",
            whole("FP32", np.float32, True),
            request_compression_algorithm=algorithm,
            response_compression_algorithm=algorithm,
        )
        say(f"{algorithm} both ways", equal(result.as_numpy("probability")))

    types = {"spend": ("FP64", np.float64), "amount": ("FP32", np.float32), "n_trips": ("INT64", np.int64), "is_new": ("BOOL", np.bool_)}
    for binary in [True, False]:
        tensors = []
        for name in reversed(columns):
            datatype, dtype = types[name]
            tensor = triton.InferInput(name, [len(table), 1], datatype)
            tensor.set_data_from_numpy(np.asarray(given["rows"][name], dtype=dtype).reshape(-1, 1), binary_data=binary)
            tensors.append(tensor)
        found = client.infer("risk", tensors, model_version=version).as_numpy("probability")
        say(f"a tensor per column of its own type, {'binary' if binary else 'JSON'}", equal(found), found)
    for datatype, dtype in [("INT8", np.int8), ("INT16", np.int16), ("INT32", np.int32), ("INT64", np.int64), ("UINT8", np.uint8), ("UINT16", np.uint16), ("UINT32", np.uint32), ("UINT64", np.uint64), ("FP16", np.float16)]:
        small = np.abs(np.rint(table[:50])).astype(dtype)
        answers = []
        for data, name in [(small.astype(np.float64), "FP64"), (small, datatype)]:
            tensor = triton.InferInput("x", list(small.shape), name)
            tensor.set_data_from_numpy(data)
            answers.append(client.infer("risk", [tensor]).as_numpy("probability"))
        say(f"{datatype} answers as FP64 of the same numbers", equal(answers[1], answers[0].reshape(-1)), answers)

    cards = triton.InferInput("card_id", [2], "BYTES")
    cards.set_data_from_numpy(np.array(["c1", "nobody"], dtype=object))
    more = []
    for name, value in [("amount", 1.5), ("n_trips", 3), ("is_new", True)]:
        datatype, dtype = types[name]
        tensor = triton.InferInput(name, [2], datatype)
        tensor.set_data_from_numpy(np.full(2, value, dtype=dtype))
        more.append(tensor)
    looked = client.infer("risk", [cards, *more]).as_numpy("probability").reshape(-1)
    whole_rows = np.array([[42.5, 1.5, 3, 1], [0, 1.5, 3, 1]], dtype=np.float64)
    tensor = triton.InferInput("x", [2, 4], "FP64")
    tensor.set_data_from_numpy(whole_rows)
    say("entity keys are looked up", equal(looked, client.infer("risk", [tensor]).as_numpy("probability").reshape(-1)), looked)
    running = [client.async_infer("risk", whole("FP32", np.float32, True)) for _ in range(8)]
    say("eight at once", all(equal(one.get_result().as_numpy("probability")) for one in running))
    try:
        bad = triton.InferInput("x", [2, 3], "FP32")
        bad.set_data_from_numpy(np.zeros((2, 3), dtype=np.float32))
        client.infer("risk", [bad])
        say("a wrong shape is refused", False)
    except InferenceServerException as error:
        say("a wrong shape is refused", error.status() == "400" and "[rows, 4]" in error.message(), error)
    client.close()


async def kserve_checks():
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    say = lambda what, passed, found=None: check("kserve", what, passed, found)
    say("server is live", await client.is_server_live(address))
    say("server is ready", await client.is_server_ready(address))
    say("model is ready", await client.is_model_ready(address, "risk"))
    for binary in [True, False]:
        tensor = InferInput("input-0", list(table.shape), "FP32")
        tensor.set_data_from_numpy(table, binary_data=binary)
        for binary_output in [True, False]:
            request = InferRequest("risk", [tensor], request_id="two", parameters={"binary_data_output": binary_output})
            answer = await client.infer(address, request, model_name="risk")
            found = answer.outputs[0].as_numpy()
            say(f"binary in: {binary}, binary out: {binary_output}", equal(found), found)
            say(f"the id comes back, {binary}, {binary_output}", answer.id == "two", answer.id)
    plain = await client.infer(address, {"inputs": [{"name": "x", "shape": list(table.shape), "datatype": "FP32", "data": table.tolist()}]}, model_name="risk")
    say("a dictionary", equal(plain.outputs[0].as_numpy()))
    try:
        await client.infer(address, {"inputs": []}, model_name="risk")
        say("no inputs are refused", False)
    except Exception as error:
        say("no inputs are refused", "400" in str(error) and "at least one tensor" in str(error), error)
    await client.close()


triton_checks()
asyncio.run(kserve_checks())
print(json.dumps(checks))
