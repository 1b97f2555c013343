"""Triton's sequences: requests that belong together, with a state that the server keeps.  A real voice model answers as it does in
Python's onnxruntime with the state handed on by hand; a model that echoes shows who got which state when many clients ask at once."""
import json
import queue
import random
import shutil
import threading
import time

import numpy as np
import onnxruntime
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException

from conftest import ROOT, SLOW, Server

SILERO = ROOT / ".deps/models/silero_vad/model.onnx"
RATE, CHUNK, CONTEXT = 16000, 512, 64
VOICE = """max_batch_size: 0
sequence_batching {{
  max_sequence_idle_microseconds: {idle_us}
  oldest {{ max_candidate_sequences: {candidates} }}
  state [ {{ input_name: "state" output_name: "stateN" data_type: TYPE_FP32 dims: [ 2, 1, 128 ] }} ]
}}
"""
# Outputs echo the inputs of the same place: `before` is the state, which is what the request before has sent.
ECHO = """input x FP32 [-1,1]
input s FP32 [-1,1]
input start INT32 [-1,1]
input end BOOL [-1,1]
input id BYTES [-1,1]
output s_out FP32 [-1,1]
output before FP32 [-1,1]
output started INT32 [-1,1]
output ended BOOL [-1,1]
output who BYTES [-1,1]
"""
ECHO_CONFIG = """backend: "echo"
max_batch_size: 16
sequence_batching {{
  max_sequence_idle_microseconds: {idle_us}
  {strategy}
  control_input [
    {{ name: "start" control [ {{ kind: CONTROL_SEQUENCE_START int32_false_true: [ 0, 1 ] }} ] }},
    {{ name: "end" control [ {{ kind: CONTROL_SEQUENCE_END bool_false_true: [ false, true ] }} ] }},
    {{ name: "id" control [ {{ kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_STRING }} ] }}
  ]
  state [ {{ input_name: "s" output_name: "s_out" data_type: TYPE_FP32 dims: [ 1 ] {initial} }} ]
}}
"""
MINUTES = 600_000_000
SUM_CONFIG = f"""max_batch_size: 8
instance_group [ {{ count: 1 }} ]
sequence_batching {{
  max_sequence_idle_microseconds: {MINUTES}
  oldest {{ max_candidate_sequences: 32 }}
  state [ {{ input_name: "before" output_name: "after" data_type: TYPE_FP32 dims: [ 2 ] }} ]
}}
"""


def write_voice(repository, candidates=8, idle_us=MINUTES, version=1):
    folder = repository / "voice"
    (folder / str(version)).mkdir(parents=True)
    shutil.copy(SILERO, folder / str(version) / "model.onnx")
    (folder / "config.pbtxt").write_text(VOICE.format(candidates=candidates, idle_us=idle_us))
    return folder


def write_echo(repository, name="echo", strategy="direct { }", initial="", idle_us=MINUTES):
    folder = repository / name
    (folder / "1").mkdir(parents=True)
    (folder / "1/model.echo").write_text(ECHO)
    (folder / "config.pbtxt").write_text(ECHO_CONFIG.format(strategy=strategy, initial=initial, idle_us=idle_us))
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    repository = tmp_path_factory.mktemp("sequences") / "models"
    write_voice(repository)
    write_echo(repository)
    write_echo(repository, "one", strategy="oldest { max_candidate_sequences: 1 }")
    write_echo(repository, "short", idle_us=200_000)
    folder = write_echo(repository, "given", initial='initial_state [ { name: "begin" data_type: TYPE_FP32 dims: [ 1 ] data_file: "begin" } ]')
    (folder / "initial_state").mkdir()
    (folder / "initial_state/begin").write_bytes(np.float32(42).tobytes())
    with (folder / "config.pbtxt").open("a") as config:  # a warm-up says nothing of what the server fills in
        config.write('model_warmup { name: "w" batch_size: 3 inputs { key: "x" value { data_type: TYPE_FP32 dims: [ 1 ] zero_data: true } } }\n')
    started = Server(repository)
    started.wait_ready("voice", "echo", "one", "short", "given")
    yield started
    started.stop()


# ---- the voice model ----

def sound(seed, chunks):
    """Something that is now and then like a voice: a buzz with a melody, noise, silence."""
    rng = np.random.default_rng(seed)
    at = np.arange(chunks * CHUNK) / RATE
    pitch = 110 * (1 + seed / 10) * (1 + 0.1 * np.sin(2 * np.pi * 3 * at))
    voice = sum(np.sin(2 * np.pi * k * np.cumsum(pitch) / RATE) / k for k in range(1, 20))
    loud = (np.sin(2 * np.pi * at * (1 + seed / 7)) > -0.3) * 0.2
    return (voice * loud + rng.normal(0, 0.005, at.shape)).astype(np.float32)


def pieces(seed, chunks):
    """Chunks as the model wants them: each with the end of the one before it."""
    whole = np.concatenate([np.zeros(CONTEXT, np.float32), sound(seed, chunks)])
    return [whole[i * CHUNK:(i + 1) * CHUNK + CONTEXT][None] for i in range(chunks)]


def expected_voice(seed, chunks):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(SILERO, options, providers=["CPUExecutionProvider"])
    state, answers = np.zeros((2, 1, 128), np.float32), []
    for piece in pieces(seed, chunks):
        answer, state = session.run(None, {"input": piece, "state": state, "sr": np.array(RATE, np.int64)})
        answers.append(float(answer[0, 0]))
    return answers


def voice_inputs(library, piece):
    sound_input = library.InferInput("input", list(piece.shape), "FP32").set_data_from_numpy(piece)
    rate = library.InferInput("sr", [], "INT64").set_data_from_numpy(np.array(RATE, np.int64))
    return [sound_input, rate]


def hear(library, server, ids, chunks):
    """All sequences, a request of each in turn."""
    answers = {i: [] for i in ids}
    sounds = {i: pieces(seed, chunks) for seed, i in enumerate(ids)}
    with library.InferenceServerClient(server.url) as client:
        for n in range(chunks):
            for i in ids:
                result = client.infer("voice", voice_inputs(library, sounds[i][n]), sequence_id=i, sequence_start=n == 0,
                                      sequence_end=n == chunks - 1)
                answers[i].append(float(result.as_numpy("output")[0, 0]))
    return answers


def hear_in_a_stream(server, ids, chunks):
    """All requests sent before any answer is read."""
    answers, replies = {i: [] for i in ids}, queue.Queue()
    sounds = {i: pieces(seed, chunks) for seed, i in enumerate(ids)}
    with triton_grpc.InferenceServerClient(server.url) as client:
        client.start_stream(lambda result, error: replies.put((result, error)))
        for n in range(chunks):
            for i in ids:
                client.async_stream_infer("voice", voice_inputs(triton_grpc, sounds[i][n]), request_id=str(i), sequence_id=i,
                                          sequence_start=n == 0, sequence_end=n == chunks - 1)
        for _ in range(chunks * len(ids)):
            result, error = replies.get(timeout=60 * SLOW)
            assert error is None, error
            answers[type(ids[0])(result.get_response().id)].append(float(result.as_numpy("output")[0, 0]))
        client.stop_stream()
    return answers


@pytest.mark.parametrize("way", ["http", "grpc", "stream"])
def test_a_voice_is_heard_as_with_the_state_handed_on_by_hand(server, way):
    ids, chunks = {"http": ([11, 12, 13], 20), "grpc": (["eve", "ada", "bob"], 20), "stream": ([21, 22, 23], 20)}[way]
    if way == "stream":
        got = hear_in_a_stream(server, ids, chunks)
    else:
        got = hear(triton_http if way == "http" else triton_grpc, server, ids, chunks)
    for seed, i in enumerate(ids):
        wanted = expected_voice(seed, chunks)
        assert max(wanted) - min(wanted) > 0.01  # the sound means something to it, and so does the state
        np.testing.assert_allclose(got[i], wanted, rtol=1e-4, atol=1e-5)


def test_clients_do_not_see_the_state(server):
    metadata = json.loads(server.get("/v2/models/voice")[1])
    assert [i["name"] for i in metadata["inputs"]] == ["input", "sr"]
    assert [o["name"] for o in metadata["outputs"]] == ["output"]
    config = json.loads(server.get("/v2/models/voice/config")[1])
    assert config["sequence_batching"]["state"][0]["input_name"] == "state"
    assert [i["name"] for i in config["input"]] == ["input", "sr"]
    with triton_http.InferenceServerClient(server.url) as client:
        state = triton_http.InferInput("state", [2, 1, 128], "FP32").set_data_from_numpy(np.zeros((2, 1, 128), np.float32))
        with pytest.raises(InferenceServerException, match="expected 2 inputs but got 3"):
            client.infer("voice", voice_inputs(triton_http, pieces(0, 1)[0]) + [state], sequence_id=1, sequence_start=True)
        with pytest.raises(InferenceServerException, match="stateN"):
            client.infer("voice", voice_inputs(triton_http, pieces(0, 1)[0]), sequence_id=1, sequence_start=True,
                         outputs=[triton_http.InferRequestedOutput("stateN")])


# ---- who gets which state ----

def step(client, library, model, value, sequence_id, start=False, end=False):
    x = library.InferInput("x", [1, 1], "FP32").set_data_from_numpy(np.array([[value]], np.float32))
    result = client.infer(model, [x], sequence_id=sequence_id, sequence_start=start, sequence_end=end)
    return {name: result.as_numpy(name)[0, 0] for name in ("before", "started", "ended", "who")}


@pytest.fixture
def client(server):
    with triton_http.InferenceServerClient(server.url) as made:
        yield made


def test_the_model_is_told_where_in_its_sequence_it_is(client):
    seen = [step(client, triton_http, "echo", n + 1, "told", n == 0, n == 2) for n in range(3)]
    assert [s["before"] for s in seen] == [0, 1, 2]
    assert [s["started"] for s in seen] == [1, 0, 0]
    assert [s["ended"] for s in seen] == [False, False, True]
    assert {s["who"] for s in seen} == {b"told"}
    assert step(client, triton_http, "echo", 1, 77, True, True)["who"] == b"77"


def test_a_sequence_begins_with_what_a_file_says(client):
    assert [step(client, triton_http, "given", n, 5, n == 0, n == 1)["before"] for n in range(2)] == [42, 0]


def test_a_request_without_a_sequence_is_told_so(server, client):
    for library, code in ((triton_http, "400"), (triton_grpc, "StatusCode.INVALID_ARGUMENT")):
        with library.InferenceServerClient(server.url) as made:
            with pytest.raises(InferenceServerException, match="must specify a non-zero or non-empty correlation ID") as error:
                step(made, library, "echo", 1, 0)
            assert code in str(error.value.status())
            with pytest.raises(InferenceServerException, match="sequence 404 to model 'echo' must specify the START flag"):
                step(made, library, "echo", 1, 404)
    x = triton_http.InferInput("x", [2, 1], "FP32").set_data_from_numpy(np.zeros((2, 1), np.float32))
    with pytest.raises(InferenceServerException, match="must specify batch-size 1"):
        client.infer("echo", [x], sequence_id=9, sequence_start=True)


def test_a_surplus_sequence_waits_for_a_slot(server, client):
    step(client, triton_http, "one", 1, 1, start=True)
    answers = queue.Queue()

    def second():
        with triton_http.InferenceServerClient(server.url, network_timeout=60 * SLOW) as made:
            answers.put(step(made, triton_http, "one", 2, 2, True, True))
    waiting = threading.Thread(target=second)
    waiting.start()
    server.wait(lambda: server.metric("troupe_sequences_waiting") == 1, "the second sequence to wait")
    assert step(client, triton_http, "one", 3, 1)["before"] == 1
    assert answers.empty()
    step(client, triton_http, "one", 4, 1, end=True)
    waiting.join(60 * SLOW)
    assert answers.get(timeout=1)["before"] == 0
    assert server.metric("troupe_sequences_waiting") == 0


def test_an_idle_sequence_ends(server, client):
    before = server.metric("troupe_sequences_expired_total")
    step(client, triton_http, "short", 1, 1, start=True)
    server.wait(lambda: server.metric("troupe_sequences_expired_total") == before + 1, "the sequence to end")
    with pytest.raises(InferenceServerException, match="must specify the START flag"):
        step(client, triton_http, "short", 1, 1)


def test_many_clients_at_once_each_have_their_own_state(serve, tmp_path):
    """Threads with sequences of their own, on two loops and three executors; the rows of their requests share runs."""
    repository = tmp_path / "models"
    write_echo(repository, strategy="oldest { max_candidate_sequences: 6 }")
    server = serve(repository, settings={"threads.loops": 2, "threads.executors": 3})
    server.wait_ready("echo")
    wrong = []

    def talk(seed):
        rng = random.Random(seed)
        library = (triton_http, triton_grpc)[seed % 2]
        with library.InferenceServerClient(server.url) as made:
            for n in range(6):
                last, length = 0, rng.randint(1, 8)
                for k in range(length):
                    value = rng.randint(1, 1_000_000)
                    seen = step(made, library, "echo", value, f"{seed}.{n}" if n % 2 else seed * 100 + n + 1, k == 0, k == length - 1)
                    if seen["before"] != last or seen["started"] != (k == 0) or seen["ended"] != (k == length - 1):
                        wrong.append((seed, n, k, seen, last))
                    last = value
    threads = [threading.Thread(target=talk, args=(seed,)) for seed in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120 * SLOW)
    assert not wrong
    assert server.metric("troupe_sequences_open") == 0
    assert server.metric("troupe_sequences_started_total") == 60
    assert server.metric("troupe_model_in_flight", model="echo") == 0


def test_rows_of_sequences_share_runs_of_a_real_backend(serve, tmp_path, gate):
    """Streams that send all at once: what waits of different sequences is one run, and each sum is its sequence's own."""
    repository = tmp_path / "models"
    (repository / "sum/1").mkdir(parents=True)
    shutil.copy(ROOT / "tests/models/good/running_sum.onnx", repository / "sum/1/model.onnx")
    (repository / "sum/config.pbtxt").write_text(SUM_CONFIG)
    (repository / "gate.echo").write_text("input x FP32 [1]\noutput y FP32 [1]\n" + gate.until)
    server = serve(repository, settings={"threads.executors": 1, "sched.inline_run": "0s"})
    server.wait_ready("sum", "gate")
    sequences, length, replies = 20, 15, queue.Queue()
    body = json.dumps({"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}]}).encode()
    held = threading.Thread(target=server.request, args=("POST", "/v2/models/gate/infer", body))
    held.start()  # the executor is busy while the first requests come
    server.wait(lambda: server.metric("troupe_model_in_flight", model="gate") == 1, "the gate to be shut")
    with triton_grpc.InferenceServerClient(server.url) as client:
        client.start_stream(lambda result, error: replies.put((result, error)))
        for n in range(length):
            for i in range(1, sequences + 1):
                x = triton_grpc.InferInput("x", [1, 2], "FP32").set_data_from_numpy(np.array([[i, 1]], np.float32))
                client.async_stream_infer("sum", [x], request_id=f"{i} {n}", sequence_id=i, sequence_start=n == 0, sequence_end=n == length - 1)
        server.wait(lambda: server.metric("troupe_sequences_open") == sequences, "all sequences to have begun")
        gate.open()
        for _ in range(sequences * length):
            result, error = replies.get(timeout=60 * SLOW)
            assert error is None, error
            i, n = map(int, result.get_response().id.split())
            np.testing.assert_array_equal(result.as_numpy("sum"), [[i * (n + 1), n + 1]])
            assert result.as_numpy("after") is None
        client.stop_stream()
    held.join(60 * SLOW)
    stats, = json.loads(server.get("/v2/models/sum/stats")[1])["model_stats"]
    assert stats["inference_count"] == sequences * length
    assert stats["execution_count"] < stats["inference_count"]
    assert server.metric("troupe_sequences_open") == 0


@pytest.mark.parametrize("strategy", [
    "oldest {{ max_candidate_sequences: 16 preferred_batch_size: [ 3 ] max_queue_delay_microseconds: {} }}",
    "direct {{ max_queue_delay_microseconds: {} minimum_slot_utilization: 0.16 }}"])
def test_a_run_waits_for_other_sequences_if_it_is_told_to(serve, tmp_path, strategy):
    """Three rows of 16 are enough: three clients never wait for the delay, fewer wait for all of it."""
    repository = tmp_path / "models"
    write_echo(repository, "patient", strategy=strategy.format(30_000_000))
    write_echo(repository, "hasty", strategy=strategy.format(300_000))
    server = serve(repository, settings={"threads.executors": 2})
    server.wait_ready("patient", "hasty")
    wrong, together = [], threading.Barrier(3)

    def talk(i):
        with triton_http.InferenceServerClient(server.url, network_timeout=120 * SLOW) as made:
            for k in range(4):
                together.wait(120 * SLOW)
                seen = step(made, triton_http, "patient", 10 * i + k, i, k == 0, k == 3)
                if seen["before"] != (10 * i + k - 1 if k else 0):
                    wrong.append((i, k, seen))
    threads = [threading.Thread(target=talk, args=(i,)) for i in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120 * SLOW)
    assert not wrong
    stats, = json.loads(server.get("/v2/models/patient/stats")[1])["model_stats"]
    assert (stats["inference_count"], stats["execution_count"]) == (12, 4)
    with triton_http.InferenceServerClient(server.url) as made:
        begin = time.monotonic()
        assert step(made, triton_http, "hasty", 1, 9, True, True)["started"]
        assert time.monotonic() - begin >= 0.3


def test_whoever_goes_away_leaves_nothing_behind(serve, tmp_path):
    """Streams that are dropped with requests in every place: running, behind others of their sequence, in a sequence without a slot."""
    repository = tmp_path / "models"
    write_echo(repository, strategy="oldest { max_candidate_sequences: 2 }", idle_us=300_000)
    (repository / "echo/1/model.echo").write_text(ECHO + "sleep 20ms\n")
    server = serve(repository, settings={"threads.loops": 2})
    server.wait_ready("echo")
    for _ in range(5):
        answered = threading.Event()
        client = triton_grpc.InferenceServerClient(server.url)
        client.start_stream(lambda result, error: answered.set())
        for n in range(5):
            for i in range(1, 9):
                x = triton_grpc.InferInput("x", [1, 1], "FP32").set_data_from_numpy(np.array([[n]], np.float32))
                client.async_stream_infer("echo", [x], sequence_id=i, sequence_start=n == 0)
        assert answered.wait(60 * SLOW)
        client.stop_stream(cancel_requests=True)
        client.close()
    server.wait(lambda: server.metric("troupe_model_in_flight", model="echo") == 0, "all requests to leave")
    server.wait(lambda: server.metric("troupe_sequences_open") == 0, "all sequences to end")
    assert server.metric("troupe_sequences_waiting") == 0
    with triton_http.InferenceServerClient(server.url) as client:
        assert step(client, triton_http, "echo", 5, 1, True, True)["before"] == 0


# ---- versions come and go ----

def test_a_sequence_stays_on_its_version_when_another_takes_over(serve, tmp_path):
    repository = tmp_path / "models"
    write_echo(repository)
    server = serve(repository)
    server.wait_ready("echo")
    with triton_http.InferenceServerClient(server.url) as client:
        step(client, triton_http, "echo", 1, 1, start=True)
        staged = tmp_path / "2"
        staged.mkdir()
        (staged / "model.echo").write_text(ECHO + "# the second\n")
        staged.rename(repository / "echo/2")
        client.load_model("echo")
        assert client.get_model_metadata("echo")["versions"] == ["2"]
        assert step(client, triton_http, "echo", 2, 1)["before"] == 1
        step(client, triton_http, "echo", 7, 2, start=True)
        assert server.metric("troupe_model_unloads_total") == 0
        assert step(client, triton_http, "echo", 3, 1, end=True)["before"] == 2
        server.wait(lambda: server.metric("troupe_model_unloads_total") == 1, "the old version to go")
        assert step(client, triton_http, "echo", 8, 2, end=True)["before"] == 7


def test_reloads_and_resizes_disturb_no_sequence(serve, tmp_path):
    """Files are replaced and run slots changed while clients talk; a sequence that is still open does not keep the server from ending."""
    repository = tmp_path / "models"
    write_echo(repository, strategy="oldest { max_candidate_sequences: 3 }")
    server = serve(repository, settings={"threads.loops": 2, "threads.executors": 2})
    server.wait_ready("echo")
    wrong, is_over = [], threading.Event()

    def talk(seed):
        rng = random.Random(seed)
        with triton_grpc.InferenceServerClient(server.url) as made:
            n = 0
            while not is_over.is_set():
                last, length, n = 0, rng.randint(1, 6), n + 1
                for k in range(length):
                    value = rng.randint(1, 1_000_000)
                    try:
                        seen = step(made, triton_grpc, "echo", value, 1 + seed * 1_000_000 + n, k == 0, k == length - 1)
                    except InferenceServerException as error:
                        wrong.append((seed, n, k, str(error)))
                        return
                    if seen["before"] != last or seen["started"] != (k == 0):
                        wrong.append((seed, n, k, seen, last))
                    last = value
    threads = [threading.Thread(target=talk, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    with triton_http.InferenceServerClient(server.url, network_timeout=60 * SLOW) as client:
        for n in range(8):
            staged = tmp_path / "staged"
            staged.write_text(ECHO + f"# {n}\n")
            staged.rename(repository / "echo/1/model.echo")
            client.load_model("echo")
            body = json.dumps({"count": 1 + n % 3}).encode()
            assert server.request("POST", "/api/models/echo/instances", body)[0] == 200
        is_over.set()
        for thread in threads:
            thread.join(60 * SLOW)
        assert not wrong
        server.wait(lambda: server.metric("troupe_model_unloads_total") == 8, "what was replaced to go")
        assert server.metric("troupe_sequences_open") == 0
        step(client, triton_http, "echo", 1, 1, start=True)


def test_a_sequence_outlives_the_eviction_of_its_model(serve, tmp_path):
    """It keeps the version that it began on, though an operator has it evicted; what comes later is loaded on demand."""
    repository = tmp_path / "models"
    write_echo(repository)
    server = serve(repository, settings={"models.load": "on_demand"})
    server.wait_ready("echo")
    with triton_http.InferenceServerClient(server.url) as client:
        step(client, triton_http, "echo", 1, 1, start=True)
        models = {m["name"]: m for m in json.loads(server.get("/api/residency")[1])["models"]}
        assert models["echo"]["sequences"] == 1 and models["echo"]["in_flight"] == 0
        assert models["echo"]["standing"] == "busy"
        assert server.request("POST", "/api/models/echo/evict")[0] == 200
        assert step(client, triton_http, "echo", 2, 1)["before"] == 1
        assert step(client, triton_http, "echo", 5, 2, start=True)["before"] == 0
        assert step(client, triton_http, "echo", 3, 1, end=True)["before"] == 2
        assert step(client, triton_http, "echo", 6, 2, end=True)["before"] == 5
        server.wait(lambda: server.metric("troupe_model_unloads_total") == 1, "the version that was evicted to go")


def test_unloading_ends_its_sequences(serve, tmp_path):
    repository = tmp_path / "models"
    write_echo(repository)
    server = serve(repository)
    server.wait_ready("echo")
    with triton_http.InferenceServerClient(server.url) as client:
        step(client, triton_http, "echo", 1, 1, start=True)
        assert server.metric("troupe_sequences_open") == 1
        client.unload_model("echo")
        server.wait(lambda: server.metric("troupe_model_unloads_total") == 1, "the version to go")
        assert server.metric("troupe_sequences_open") == 0
