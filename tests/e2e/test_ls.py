"""What `troupe ls` and `troupe inspect` say of what is wrong: an unload is not hidden by a mistake, and reasons of several lines stay out of the table."""
from test_replacement import WATCHED
from test_repository import index, post
from test_routes import command, routes

PLAIN = "input x FP32 [-1,%d]\noutput y FP32 [-1,%d]\n"


def line_of(text, name):
    return next(line for line in text.splitlines() if line.split()[:1] == [name])


def test_an_unloaded_model_is_unloaded_whatever_is_found_in_its_files(serve, repository):
    repository.write("m/model.echo", PLAIN % (4, 4))
    server = serve(repository.path, settings=WATCHED["poll"]).wait_ready("m")
    assert post(server, "/v2/repository/models/m/unload")[0] == 200
    assert line_of(command(server, "ls"), "m").endswith("[-1,4]")  # nothing besides
    repository.write("m/model.yaml", "max_batchsize: 3\n")
    words = 'unloaded; its files are wrong: m/model.yaml:1: unknown key "max_batchsize"'
    server.wait(lambda: words in command(server, "ls"), "the mistake")
    assert "UNLOADED" in line_of(command(server, "ls"), "m")
    assert "UNLOADED" in command(server, "inspect", "m") and words in command(server, "inspect", "m")
    assert words in command(server, "ls", "--state", "unloaded") and words in index(server)["m"][1]
    assert "max_batchsize" in command(server, "load", "m", code=1)
    failed = line_of(command(server, "ls"), "m")  # somebody wants it now
    assert "FAILED" in failed and "unloaded" not in failed


def test_a_reason_of_several_lines_stands_below_the_table(serve, repository):
    repository.write("four/model.echo", PLAIN % (4, 4))
    repository.write("five/model.echo", PLAIN % (5, 5))
    repository.write("routes.yaml", "routes:\n  r:\n    - { use: four, fallback: five }\n  s: [ { use: four } ]\n")
    server = serve(repository.path, settings=WATCHED["poll"]).wait_ready("four", "five")
    server.wait(lambda: "r" in routes(server) and routes(server)["r"]["doubt"], "the doubt")
    text = command(server, "ls")
    assert line_of(text, "r").endswith("routes.yaml:3:30: 'four' takes [-1,4] for 'x', and 'five' [-1,5]: no request fits both [1]")
    assert "no request fits both\n      - { use: four, fallback: five }\n" in text[text.index("\n[1] "):]
    shown = command(server, "inspect", "r")
    at = shown.index("  reason    ")
    assert shown[at:].splitlines()[1].strip() == "- { use: four, fallback: five }" and shown[at:].splitlines()[2].strip() == "^"
    repository.write("routes.yaml", "routes:\n  r:\n    - { use: fuor }\n")
    server.wait(lambda: "not taken up: " in command(server, "ls"), "the mistake")
    text = command(server, "ls")
    assert all(line_of(text, name).endswith("older files serve, see below") for name in "rs")
    assert text.count("did you mean 'four'?") == 1 and text.rstrip().endswith("^")


def test_a_folder_that_declares_a_route_waits_for_a_file_that_is_wrong_and_says_so(serve, repository):
    repository.write("four/model.echo", PLAIN % (4, 4))
    repository.write("routes.yaml", "routes:\n  r:\n    - { use: four }\n")
    server = serve(repository.path).wait_ready("four")
    server.wait(lambda: "r" in routes(server), "the route")
    repository.write("routes.yaml", "routes:\n  r:\n    - { use: fuor }\n")
    repository.write("late/model.yaml", "route:\n  - use: four\n")
    said = command(server, "load", "late", code=1)
    assert "its configuration declares 'route'; routes are not as they are written, because: " in said and "did you mean 'four'?" in said
    repository.write("routes.yaml", "routes:\n  r:\n    - { use: four }\n")
    assert "late is loaded" in command(server, "load", "late")
    assert "late" in routes(server)
