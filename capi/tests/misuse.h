/* What misuse.c and the files of its other tests have in common. */
#ifndef MISUSE_H
#define MISUSE_H

#include <vkscan.h>

void fail_at(const char *file, int line, const char *what);
void expect_at(const char *file, int line, vkscan_status wanted, vkscan_status got, const char *words);

/* The condition holds, or else the program ends. */
#define CHECK(condition) ((condition) ? (void)0 : fail_at(__FILE__, __LINE__, #condition))
/* The call comes to that status; unless they are NULL, the words are in its text. */
#define EXPECT(status, call, words) expect_at(__FILE__, __LINE__, status, call, words)
#define OK(call) EXPECT(VKSCAN_STATUS_OK, call, NULL)
#define INVALID(call, words) EXPECT(VKSCAN_STATUS_INVALID_ARGUMENT, call, words)

#define TEXT "user = alice\npassword = hunter2\nkey = AKIA0123456789ABCDEF\n"
#define TEXT_LEN (sizeof TEXT - 1)
#define BYTES ((const uint8_t *)TEXT)

/* A haystack, for as long as the block that names it. */
#define HAYSTACK(...) (&(vkscan_haystack){.struct_size = sizeof(vkscan_haystack), __VA_ARGS__})
#define IN_MEMORY(from, length) HAYSTACK(.bytes = from, .len = length)
#define IN_STAGING(handle) HAYSTACK(.staged = handle)
#define ON_DEVICE(handle) HAYSTACK(.resident = handle)
/* A scan with matches of any length, which waits for nothing and tells no figures. */
#define SCAN(session, haystack, matches, capacity, count) \
    vkscan_scan_haystack(session, haystack, VKSCAN_UNBOUNDED, matches, capacity, count, NULL)
#define SUBMIT(session, haystack, ticket) \
    vkscan_submit_haystack(session, haystack, VKSCAN_UNBOUNDED, NULL, 0, NULL, 0, ticket)

vkscan_backend *open_backend(void);
vkscan_rules *compile(void);
vkscan_session *prepare(const vkscan_backend *backend, size_t capacity, size_t max_matches);
void scan(const vkscan_session *session);

/* What the rules of `compile` are to find in the text. */
void check_matches(const vkscan_match *matches, size_t count);

/* Has a backend's device be one of the caller's. */
void raw_devices(const vkscan_backend *backend);

/* Scans in command buffers, in the order of semaphores, and in memory of the program's. */
void recordings(const vkscan_backend *owner);
void semaphores(const vkscan_backend *owner);
void imports(const vkscan_backend *owner);

/* What goes from one device to another. */
void externals(const vkscan_backend *backend);

/* Sessions that are worked out first. */
void plans(const vkscan_backend *backend);

/* Many small haystacks at a time; the other backend is another one. */
void rings(const vkscan_backend *backend, const vkscan_backend *other);

/* Scans from several threads, each of which has errors of its own. */
void threads(const vkscan_backend *backend);

#endif
