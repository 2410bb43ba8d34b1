// Hyperscan over many small haystacks: each thread takes the next hundred and scans them one by one, with all rules.
//
//   g++ -O2 -std=c++17 hyperscan_items.cc -o hyperscan_items -l:libhs.a -lpthread -lm
//   ./hyperscan_items RULES.regex HAYSTACK ITEM_BYTES SPANS
//
// The haystack is cut into items of ITEM_BYTES bytes. With SPANS 1 matches have starts (HS_FLAG_SOM_LEFTMOST), with 0
// ends alone. Rules that Hyperscan refuses are left out, and counted. Prints what `hyperscan_bench` prints.
#include <hs/hs.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

static int count(unsigned, unsigned long long, unsigned long long, unsigned, void *matches) {
    *static_cast<size_t *>(matches) += 1;
    return 0;
}

static double scan_all(const hs_database_t *database, const std::vector<char> &haystack, size_t item_bytes,
                       unsigned thread_count) {
    const size_t taken_at_once = 100;
    const size_t item_count = haystack.size() / item_bytes;
    std::atomic<size_t> next{0};
    auto work = [&] {
        hs_scratch_t *scratch = nullptr;
        hs_alloc_scratch(database, &scratch);
        size_t matches = 0;
        for (size_t first; (first = next.fetch_add(taken_at_once)) < item_count;) {
            for (size_t item = first; item < std::min(first + taken_at_once, item_count); ++item) {
                hs_scan(database, haystack.data() + item * item_bytes, unsigned(item_bytes), 0, scratch, count,
                        &matches);
            }
        }
        hs_free_scratch(scratch);
    };
    const auto begin = std::chrono::steady_clock::now();
    std::vector<std::thread> threads;
    for (unsigned thread = 0; thread < thread_count; ++thread) threads.emplace_back(work);
    for (auto &thread : threads) thread.join();
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
    return double(item_count * item_bytes) / passed.count() / 1e9;
}

int main(int argc, char **argv) {
    if (argc != 5) {
        std::fprintf(stderr, "usage: %s RULES HAYSTACK ITEM_BYTES SPANS\n", argv[0]);
        return 2;
    }
    const unsigned flags = HS_FLAG_ALLOWEMPTY | (std::atoi(argv[4]) ? HS_FLAG_SOM_LEFTMOST : 0);
    std::ifstream haystack_file(argv[2], std::ios::binary);
    const std::vector<char> haystack{std::istreambuf_iterator<char>(haystack_file), {}};

    std::vector<std::string> rules;
    unsigned refused = 0;
    std::ifstream rules_file(argv[1]);
    for (std::string rule; std::getline(rules_file, rule);) {
        hs_database_t *alone = nullptr;
        hs_compile_error_t *error = nullptr;
        if (hs_compile(rule.c_str(), flags, HS_MODE_BLOCK, nullptr, &alone, &error) == HS_SUCCESS) {
            hs_free_database(alone);
            rules.push_back(rule);
        } else {
            hs_free_compile_error(error);
            refused += 1;
        }
    }
    std::vector<const char *> texts;
    for (const auto &rule : rules) texts.push_back(rule.c_str());
    const std::vector<unsigned> all_flags(rules.size(), flags);
    hs_database_t *database = nullptr;
    hs_compile_error_t *error = nullptr;
    if (hs_compile_multi(texts.data(), all_flags.data(), nullptr, unsigned(rules.size()), HS_MODE_BLOCK, nullptr,
                         &database, &error) != HS_SUCCESS) {
        std::printf("compile failed: %s\n", error->message);
        return 1;
    }
    std::printf("hyperscan %s: %zu rules, %u refused, items of %s bytes\n", hs_version(), rules.size(), refused, argv[3]);
    for (const unsigned thread_count : {1u, 16u}) {
        double best = 0;
        for (int run = 0; run < 3; ++run) {
            best = std::max(best, scan_all(database, haystack, std::strtoull(argv[3], nullptr, 10), thread_count));
        }
        std::printf("  %2u threads: %.3f GB/s, best of three\n", thread_count, best);
        std::fflush(stdout);
    }
}
