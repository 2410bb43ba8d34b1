/* Scans in the order of the program's semaphores, of buffers of the program's. */
#include <string.h>

#include "misuse.h"
#include "program.h"

/* A scan that waits for the program, and what waits for the scan. */
static void timelines(const program *self, const vkscan_session *session, const vkscan_haystack *haystack, void *bytes)
{
    vkscan_raw_semaphore filled = {make_semaphore(self, 1), 7}, over = {make_semaphore(self, 1), 9}, reached;
    vkscan_ticket *ticket;
    vkscan_match matches[10];
    size_t count;

    OK(vkscan_submit_haystack(session, haystack, VKSCAN_UNBOUNDED, &filled, 1, &over, 1, &ticket));
    CHECK(!vkscan_ticket_is_ready(ticket));
    memcpy(bytes, TEXT, TEXT_LEN);
    signal_semaphore(self, filled.semaphore, filled.value);
    OK(vkscan_ticket_timeline(ticket, &reached));
    wait_semaphore(self, reached.semaphore, reached.value);
    CHECK(vkscan_ticket_is_ready(ticket));
    CHECK(semaphore_value(self, over.semaphore) == 0);
    OK(vkscan_ticket_wait(ticket, matches, 10, &count, NULL));
    check_matches(matches, count);
    wait_semaphore(self, over.semaphore, over.value);
    CHECK(vkscan_ticket_is_ready(ticket));
    vkscan_ticket_free(ticket);
    free_semaphore(self, filled.semaphore);
    free_semaphore(self, over.semaphore);
}

/* A ticket that is freed signals, too; and there is nothing to wait for where there is nothing to scan. */
static void freed(const program *self, const vkscan_session *session, const vkscan_haystack *haystack)
{
    vkscan_raw_semaphore signals[2] = {{make_semaphore(self, 0), 0}, {make_semaphore(self, 1), 1}}, reached;
    vkscan_haystack nothing = {.struct_size = sizeof nothing};
    vkscan_ticket *ticket;
    OK(vkscan_submit_haystack(session, haystack, VKSCAN_UNBOUNDED, NULL, 0, signals, 2, &ticket));
    vkscan_ticket_free(ticket);
    wait_on_queue(self, signals[0].semaphore);
    wait_semaphore(self, signals[1].semaphore, 1);
    signals[1].value = 2;
    OK(vkscan_submit_haystack(session, &nothing, VKSCAN_UNBOUNDED, NULL, 0, &signals[1], 1, &ticket));
    CHECK(vkscan_ticket_is_ready(ticket));
    OK(vkscan_ticket_timeline(ticket, &reached));
    CHECK(reached.semaphore == 0 && reached.value == 0);
    vkscan_ticket_free(ticket);
    wait_semaphore(self, signals[1].semaphore, 2);
    free_semaphore(self, signals[0].semaphore);
    free_semaphore(self, signals[1].semaphore);
}

static void refused(const vkscan_backend *backend, const vkscan_session *session, const buffer *bytes)
{
    vkscan_haystack haystack = {.struct_size = sizeof haystack, .bytes = BYTES, .len = TEXT_LEN};
    vkscan_raw_semaphore none = {0, 1};
    vkscan_raw_buffer wrong = bytes->raw;
    vkscan_resident_haystack *resident;
    vkscan_device_info info = {.struct_size = sizeof info};
    vkscan_ticket *ticket;
    vkscan_match match;
    size_t count;

    EXPECT(VKSCAN_STATUS_INVALID_HANDLE,
           vkscan_submit_haystack(session, &haystack, VKSCAN_UNBOUNDED, &none, 1, NULL, 0, &ticket), "null");
    CHECK(ticket == NULL);
    EXPECT(VKSCAN_STATUS_INVALID_HANDLE,
           vkscan_submit_haystack(session, &haystack, VKSCAN_UNBOUNDED, NULL, 0, &none, 1, &ticket), "null");
    INVALID(vkscan_submit_haystack(session, &haystack, 1, NULL, 1, NULL, 0, &ticket), "`waits` is null");
    INVALID(vkscan_submit_haystack(session, &haystack, 1, NULL, 0, NULL, 1, &ticket), "`signals` is null");
    INVALID(vkscan_submit_haystack(session, NULL, 1, NULL, 0, NULL, 0, &ticket), "`haystack` is null");
    INVALID(vkscan_submit_haystack(NULL, &haystack, 1, NULL, 0, NULL, 0, &ticket), "`session` is null");
    INVALID(vkscan_submit_haystack(session, &haystack, 1, NULL, 0, NULL, 0, NULL), "`ticket` is null");
    INVALID(vkscan_scan_haystack(session, NULL, 1, &match, 1, &count, NULL), "`haystack` is null");
    CHECK(!vkscan_ticket_is_ready(NULL));
    INVALID(vkscan_ticket_timeline(NULL, &none), "`ticket` is null");

    haystack.struct_size--;
    INVALID(vkscan_scan_haystack(session, &haystack, 1, &match, 1, &count, NULL), "sizeof(vkscan_haystack)");
    haystack.struct_size++;
    haystack.reserved = 1;
    INVALID(vkscan_scan_haystack(session, &haystack, 1, &match, 1, &count, NULL), "`haystack.reserved`");
    haystack.reserved = 0;
    haystack.bytes = NULL;
    INVALID(vkscan_scan_haystack(session, &haystack, 1, &match, 1, &count, NULL), "`haystack.bytes` is null");

    INVALID(vkscan_resident_haystack_from_raw(NULL, &wrong, 0, 1, &resident), "`backend` is null");
    INVALID(vkscan_resident_haystack_from_raw(backend, NULL, 0, 1, &resident), "`buffer` is null");
    INVALID(vkscan_resident_haystack_from_raw(backend, &wrong, 0, 1, NULL), "`resident` is null");
    EXPECT(VKSCAN_STATUS_INVALID_HANDLE, vkscan_resident_haystack_from_raw(backend, &wrong, 0, 65, &resident),
           "are asked for");
    EXPECT(VKSCAN_STATUS_HAYSTACK_TOO_LARGE,
           vkscan_resident_haystack_from_raw(backend, &wrong, 0, SIZE_MAX, &resident), "the session takes");
    OK(vkscan_backend_device_info(backend, &info));
    if (info.storage_buffer_alignment > 1) {
        EXPECT(VKSCAN_STATUS_INVALID_HANDLE, vkscan_resident_haystack_from_raw(backend, &wrong, 1, 1, &resident),
               "multiple");
    }
    wrong.usage = USAGE_STORAGE;
    EXPECT(VKSCAN_STATUS_INVALID_HANDLE, vkscan_resident_haystack_from_raw(backend, &wrong, 0, 1, &resident),
           "TRANSFER_SRC");
    wrong.usage = bytes->raw.usage;
    wrong.reserved = 1;
    INVALID(vkscan_resident_haystack_from_raw(backend, &wrong, 0, 1, &resident), "`buffer.reserved`");
    wrong.reserved = 0;
    wrong.buffer = 0;
    EXPECT(VKSCAN_STATUS_INVALID_HANDLE, vkscan_resident_haystack_from_raw(backend, &wrong, 0, 1, &resident),
           "it is null");
    CHECK(resident == NULL);
}

void semaphores(const vkscan_backend *owner)
{
    program self;
    vkscan_backend *backend;
    vkscan_session *session;
    vkscan_haystack haystack = {.struct_size = sizeof haystack}, twice;
    vkscan_resident_haystack *resident;
    vkscan_match matches[10];
    buffer bytes;
    size_t count;

    begin_program(&self, owner);
    backend = backend_of(&self, NULL);
    session = prepare(backend, 1 << 12, 10);
    bytes = make_buffer(&self, 64, USAGE_STORAGE | USAGE_TRANSFER_SRC);
    OK(vkscan_resident_haystack_from_raw(backend, &bytes.raw, 0, TEXT_LEN, &resident));
    CHECK(vkscan_resident_haystack_len(resident) == TEXT_LEN);
    haystack.resident = resident;
    timelines(&self, session, &haystack, bytes.mapped);
    freed(&self, session, &haystack);
    OK(vkscan_scan_haystack(session, &haystack, VKSCAN_UNBOUNDED, matches, 10, &count, NULL));
    check_matches(matches, count);
    twice = haystack;
    twice.bytes = BYTES;
    INVALID(vkscan_scan_haystack(session, &twice, VKSCAN_UNBOUNDED, matches, 10, &count, NULL), "more than one place");
    refused(backend, session, &bytes);

    vkscan_resident_haystack_free(resident);
    OK(vkscan_session_free(session));
    CHECK(vkscan_backend_allocated_bytes(backend) == 0);
    vkscan_backend_free(backend);
    free_buffer(&self, &bytes);
    end_program(&self);
}
