/*
 * Scans a text for two rules, and prints the matches.
 *
 *     cc scan.c $(pkg-config --cflags --libs vkscan) -o scan
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vkscan.h>

#define MAX_MATCHES 100

/* Ends the program if a call failed. */
static void check(vkscan_status status, const char *what)
{
    if (status != VKSCAN_STATUS_OK) {
        fprintf(stderr, "%s: %s\n", what, vkscan_last_error());
        exit(1);
    }
}

static vkscan_pattern pattern(const char *text)
{
    vkscan_pattern made = {text, strlen(text)};
    return made;
}

int main(void)
{
    const char *text = "user = alice\npassword = hunter2\nkey = AKIA0123456789ABCDEF\n";
    vkscan_pattern patterns[2];
    vkscan_session_options options;
    vkscan_haystack haystack = {.struct_size = sizeof haystack};
    vkscan_scan_stats stats = {.struct_size = sizeof stats};
    vkscan_match matches[MAX_MATCHES];
    vkscan_backend *backend;
    vkscan_rules *rules;
    vkscan_session *session;
    size_t count, i;

    if (vkscan_abi_version() != VKSCAN_ABI_VERSION) {
        fprintf(stderr, "the library is another than the header: %s\n", vkscan_version());
        return 1;
    }

    /* NULL: the best device there is, or what VKSCAN_DEVICE names. */
    check(vkscan_backend_open(NULL, &backend), "no device");

    patterns[0] = pattern("\\bAKIA[0-9A-Z]{16}\\b");
    patterns[1] = pattern("(?i)password\\s*=\\s*\\S+");
    check(vkscan_rules_compile(patterns, 2, NULL, &rules, NULL), "the rules do not compile");

    /* Tables move to the device once; then any number of haystacks can be scanned, by many threads at a time. */
    check(vkscan_session_options_init(&options, sizeof options), "no options");
    options.haystack_capacity_bytes = 1 << 20;
    options.max_matches = MAX_MATCHES;
    check(vkscan_session_prepare(backend, rules, &options, &session), "no session");

    haystack.bytes = (const uint8_t *)text;
    haystack.len = strlen(text);
    check(vkscan_scan_haystack(session, &haystack, VKSCAN_UNBOUNDED, matches, MAX_MATCHES, &count, &stats), "no scan");
    for (i = 0; i < count; i++) {
        int len = (int)(matches[i].end - matches[i].start);
        printf("rule %u at %u: %.*s\n", matches[i].pattern_id, matches[i].start, len, text + matches[i].start);
    }
    fprintf(stderr, "%llu ns, of which %llu waiting for the device\n", (unsigned long long)stats.wall_ns,
            (unsigned long long)stats.wait_ns);

    check(vkscan_session_free(session), "the session could not be freed");
    vkscan_rules_free(rules);
    vkscan_backend_free(backend);
    return 0;
}
