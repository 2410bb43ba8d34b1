/* Many threads use one session, and each has errors of its own. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "misuse.h"

#define THREADS 4
#define TURNS 25

typedef struct {
    const vkscan_session *session;
    size_t number;
} worker;

static void *work(void *argument)
{
    const worker *self = argument;
    char words[64];
    size_t count, turn;
    snprintf(words, sizeof words, "the haystack has %zu bytes", self->number);
    CHECK(strcmp(vkscan_last_error(), "") == 0);
    for (turn = 0; turn < TURNS; turn++) {
        scan(self->session);
        EXPECT(VKSCAN_STATUS_HAYSTACK_TOO_LARGE,
               SCAN(self->session, IN_MEMORY((const uint8_t *)"", self->number), NULL, 0, &count), words);
    }
    return NULL;
}

void threads(const vkscan_backend *backend)
{
    vkscan_session *session = prepare(backend, 1 << 12, 10);
    pthread_t handles[THREADS];
    worker workers[THREADS];
    size_t i;
    for (i = 0; i < THREADS; i++) {
        workers[i].session = session;
        workers[i].number = (1 << 20) + i;
        CHECK(pthread_create(&handles[i], NULL, work, &workers[i]) == 0);
    }
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_join(handles[i], NULL) == 0);
    }
    OK(vkscan_session_free(session));
}
