/* bench/floors/floor_json.cc - parsing and printing a tensor as JSON, and nothing else.
 *
 *   floor_json --request FILE --seconds S
 *
 * Parses the request with simdjson, takes the numbers of inputs[0].data into an array of float, and
 * prints them with std::to_chars into one buffer.  Prints
 * {"rounds":N,"cpu_seconds":C,"bytes":B}. */
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include <simdjson.h>

extern "C" {
#include "bench_common.h"
}

static std::size_t parse_and_print(simdjson::dom::parser &parser,
                                   const simdjson::padded_string &text, std::vector<float> &values,
                                   std::vector<char> &out)
{
    simdjson::dom::element root;
    simdjson::dom::array data;
    if (parser.parse(text).get(root) || root["inputs"].at(0)["data"].get_array().get(data))
        bench_die("the request has no inputs[0].data");
    values.clear();
    for (simdjson::dom::element v : data) {
        double d;
        if (v.get_double().get(d))
            bench_die("an element is no number");
        values.push_back(static_cast<float>(d));
    }
    out.resize(values.size() * 16 + 16);
    char *at = out.data(), *const end = at + out.size();
    for (float v : values) {
        at = std::to_chars(at, end, v).ptr;
        *at++ = ',';
    }
    return static_cast<std::size_t>(at - out.data());
}

int main(int argc, char **argv)
{
    const bench_bytes request = bench_read_file(bench_text(argc, argv, "request", nullptr));
    const double seconds = std::strtod(bench_text(argc, argv, "seconds", "1"), nullptr);
    const simdjson::padded_string text(request.ptr, request.len);
    simdjson::dom::parser parser;
    std::vector<float> values;
    std::vector<char> out;
    std::size_t bytes = parse_and_print(parser, text, values, out); /* warm */
    const std::int64_t begun_ns = bench_now_ns(), cpu_ns = bench_own_cpu_ns();
    unsigned long long rounds = 0;
    for (; bench_now_ns() - begun_ns < static_cast<std::int64_t>(seconds * 1e9); rounds++)
        bytes = parse_and_print(parser, text, values, out);
    std::printf("{\"rounds\":%llu,\"cpu_seconds\":%.6f,\"bytes\":%zu}\n", rounds,
                static_cast<double>(bench_own_cpu_ns() - cpu_ns) / 1e9, bytes);
    return 0;
}
