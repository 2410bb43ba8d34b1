/* What misuse.c, raw_device.c and threads.c have in common. */
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

vkscan_backend *open_backend(void);
vkscan_rules *compile(void);
vkscan_session *prepare(const vkscan_backend *backend, size_t capacity, size_t max_matches);
void scan(const vkscan_session *session);

/* Has a backend's device be one of the caller's. */
void raw_devices(const vkscan_backend *backend);

/* Scans from several threads, each of which has errors of its own. */
void threads(const vkscan_backend *backend);

#endif
