/* Memory and semaphores that go from one device to another by file descriptors. */
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "misuse.h"
#include "program.h"

#define BYTES_OF_BUFFER 4096

/* The number that the next file gets: the same as before, if none was left open. */
static int next_file(void)
{
    int fd = dup(0);
    CHECK(fd >= 0);
    close(fd);
    return fd;
}

static int is_open(int fd)
{
    return fcntl(fd, F_GETFD) != -1;
}

/* Has a backend's device write the text to a buffer of its. */
static void fill(const vkscan_backend *backend, const vkscan_external_buffer *to)
{
    vkscan_raw_buffer raw;
    program self;
    buffer from;
    begin_program(&self, backend);
    from = make_buffer(&self, BYTES_OF_BUFFER, USAGE_TRANSFER_SRC);
    memcpy(from.mapped, TEXT, TEXT_LEN);
    OK(vkscan_external_buffer_raw(to, &raw));
    CHECK(raw.buffer != 0 && raw.size == BYTES_OF_BUFFER && (raw.usage & USAGE_STORAGE) != 0 && raw.reserved == 0);
    copy_buffer(&self, from.raw.buffer, raw.buffer, BYTES_OF_BUFFER);
    free_buffer(&self, &from);
    end_program(&self);
}

/* What one device writes another scans. */
static void shared(const vkscan_backend *from, const vkscan_backend *to, const vkscan_external_buffer *ours)
{
    vkscan_external_memory memory = {.struct_size = sizeof memory};
    vkscan_external_buffer *theirs;
    vkscan_resident_haystack *resident;
    vkscan_haystack haystack = {.struct_size = sizeof haystack};
    vkscan_session *session = prepare(to, 1 << 12, 10);
    vkscan_match matches[10];
    size_t count;
    int fd, same;

    OK(vkscan_external_buffer_memory(ours, &memory));
    CHECK(memory.handle == VKSCAN_MEMORY_HANDLE_OPAQUE_FD && memory.bytes == BYTES_OF_BUFFER && memory.offset == 0);
    CHECK(memory.memory_type != VKSCAN_UNKNOWN_MEMORY_TYPE && memory.allocation_bytes >= memory.bytes);
    OK(vkscan_external_buffer_export(ours, &fd));
    CHECK(is_open(fd));
    OK(vkscan_external_buffer_import(to, fd, &memory, &theirs));
    EXPECT(VKSCAN_STATUS_INVALID_HANDLE, vkscan_external_buffer_export(theirs, &same), "was imported");
    CHECK(same == -1);
    fill(from, ours);
    OK(vkscan_resident_haystack_from_external(theirs, 0, TEXT_LEN, &resident));
    vkscan_external_buffer_free(theirs);
    haystack.resident = resident;
    OK(vkscan_scan_haystack(session, &haystack, VKSCAN_UNBOUNDED, matches, 10, &count, NULL));
    check_matches(matches, count);
    vkscan_resident_haystack_free(resident);
    OK(vkscan_session_free(session));
}

/* What is refused leaves the descriptor the caller's. */
static void refused(const vkscan_backend *backend, const vkscan_external_buffer *ours)
{
    vkscan_external_memory memory = {.struct_size = sizeof memory}, wrong;
    vkscan_external_buffer *theirs;
    vkscan_resident_haystack *resident;
    vkscan_raw_buffer raw;
    int fd;

    OK(vkscan_external_buffer_memory(ours, &memory));
    OK(vkscan_external_buffer_export(ours, &fd));
    wrong = memory;
    wrong.bytes = 0;
    EXPECT(VKSCAN_STATUS_INVALID_HANDLE, vkscan_external_buffer_import(backend, fd, &wrong, &theirs), "no bytes");
    wrong.bytes = memory.allocation_bytes + 1;
    EXPECT(VKSCAN_STATUS_INVALID_HANDLE, vkscan_external_buffer_import(backend, fd, &wrong, &theirs), "altogether");
    wrong = memory;
    wrong.memory_type = 31;
    EXPECT(VKSCAN_STATUS_INVALID_HANDLE, vkscan_external_buffer_import(backend, fd, &wrong, &theirs), "memory type");
    wrong = memory;
    wrong.handle = 9;
    INVALID(vkscan_external_buffer_import(backend, fd, &wrong, &theirs), "`handle` 9");
    wrong = memory;
    wrong.reserved = 1;
    INVALID(vkscan_external_buffer_import(backend, fd, &wrong, &theirs), "`memory.reserved`");
    wrong = memory;
    wrong.struct_size--;
    INVALID(vkscan_external_buffer_import(backend, fd, &wrong, &theirs), "sizeof(vkscan_external_memory)");
    INVALID(vkscan_external_buffer_import(NULL, fd, &memory, &theirs), "`backend` is null");
    INVALID(vkscan_external_buffer_import(backend, fd, NULL, &theirs), "`memory` is null");
    INVALID(vkscan_external_buffer_import(backend, fd, &memory, NULL), "`buffer` is null");
    CHECK(theirs == NULL && is_open(fd));
    close(fd);
    EXPECT(VKSCAN_STATUS_INVALID_HANDLE, vkscan_external_buffer_import(backend, -1, &memory, &theirs), "-1");
    EXPECT(VKSCAN_STATUS_INVALID_HANDLE, vkscan_external_buffer_import(backend, fd, &memory, &theirs),
           "cannot be used");

    INVALID(vkscan_external_buffer_export(ours, NULL), "`fd` is null");
    INVALID(vkscan_external_buffer_export(NULL, &fd), "`buffer` is null");
    CHECK(fd == -1);
    INVALID(vkscan_external_buffer_memory(NULL, &memory), "`buffer` is null");
    INVALID(vkscan_external_buffer_memory(ours, NULL), "`memory` is null");
    INVALID(vkscan_external_buffer_raw(NULL, &raw), "`buffer` is null");
    INVALID(vkscan_external_buffer_raw(ours, NULL), "`raw` is null");
    INVALID(vkscan_external_buffer_new(backend, 9, 16, &theirs), "`handle` 9");
    INVALID(vkscan_external_buffer_new(NULL, 0, 16, &theirs), "`backend` is null");
    INVALID(vkscan_external_buffer_new(backend, 0, 16, NULL), "`buffer` is null");
    EXPECT(VKSCAN_STATUS_INVALID_HANDLE, vkscan_external_buffer_new(backend, 0, 0, &theirs), "no bytes");
    EXPECT(VKSCAN_STATUS_LIMIT_EXCEEDED, vkscan_external_buffer_new(backend, 0, UINT64_MAX, &theirs), "limit");
    EXPECT(VKSCAN_STATUS_INVALID_HANDLE, vkscan_resident_haystack_from_external(ours, 4096, 1, &resident),
           "are asked for");
    INVALID(vkscan_resident_haystack_from_external(NULL, 0, 1, &resident), "`buffer` is null");
    INVALID(vkscan_resident_haystack_from_external(ours, 0, 1, NULL), "`resident` is null");
    CHECK(resident == NULL);
    vkscan_external_buffer_free(NULL);
}

/* A scan on one device that waits for one on another. */
static void ordered(const vkscan_backend *from, const vkscan_backend *to, const vkscan_external_semaphore *ours)
{
    vkscan_external_semaphore *theirs;
    vkscan_session *first = prepare(from, 1 << 12, 10), *second = prepare(to, 1 << 12, 10);
    vkscan_haystack haystack = {.struct_size = sizeof haystack, .bytes = BYTES, .len = TEXT_LEN};
    vkscan_raw_semaphore signal = {vkscan_external_semaphore_raw(ours), 1}, wait = {0, 1};
    vkscan_ticket *ticket, *waiting;
    vkscan_match matches[10];
    size_t count;
    int fd;

    OK(vkscan_external_semaphore_export(ours, &fd));
    OK(vkscan_external_semaphore_import(to, VKSCAN_SEMAPHORE_HANDLE_OPAQUE_TIMELINE, fd, &theirs));
    wait.semaphore = vkscan_external_semaphore_raw(theirs);
    OK(vkscan_submit_haystack(second, &haystack, VKSCAN_UNBOUNDED, &wait, 1, NULL, 0, &waiting));
    CHECK(!vkscan_ticket_is_ready(waiting));
    OK(vkscan_submit_haystack(first, &haystack, VKSCAN_UNBOUNDED, NULL, 0, &signal, 1, &ticket));
    OK(vkscan_ticket_wait(ticket, matches, 10, &count, NULL));
    OK(vkscan_ticket_wait(waiting, matches, 10, &count, NULL));
    check_matches(matches, count);
    vkscan_ticket_free(ticket);
    vkscan_ticket_free(waiting);
    EXPECT(VKSCAN_STATUS_INVALID_HANDLE, vkscan_external_semaphore_export(theirs, &fd), "was imported");
    /* What signals the one has run, for the other was waited for; and so has what waits. */
    scan(first);
    vkscan_external_semaphore_free(theirs);
    OK(vkscan_session_free(first));
    OK(vkscan_session_free(second));
}

static void wrong_semaphores(const vkscan_backend *backend)
{
    vkscan_external_semaphore *semaphore;
    int fd = -2;
    INVALID(vkscan_external_semaphore_new(backend, 9, &semaphore), "`handle` 9");
    INVALID(vkscan_external_semaphore_new(NULL, 0, &semaphore), "`backend` is null");
    INVALID(vkscan_external_semaphore_new(backend, 0, NULL), "`semaphore` is null");
    INVALID(vkscan_external_semaphore_import(backend, 9, 0, &semaphore), "`handle` 9");
    INVALID(vkscan_external_semaphore_import(NULL, 0, 0, &semaphore), "`backend` is null");
    INVALID(vkscan_external_semaphore_import(backend, 0, 0, NULL), "`semaphore` is null");
    EXPECT(VKSCAN_STATUS_INVALID_HANDLE, vkscan_external_semaphore_import(backend, 0, -1, &semaphore), "-1");
    INVALID(vkscan_external_semaphore_export(NULL, &fd), "`semaphore` is null");
    CHECK(fd == -1 && semaphore == NULL && vkscan_external_semaphore_raw(NULL) == 0);
    vkscan_external_semaphore_free(NULL);
}

void externals(const vkscan_backend *backend)
{
    vkscan_backend *other = open_backend(), *without;
    vkscan_external_memory memory = {.struct_size = sizeof memory, .allocation_bytes = 4096, .bytes = 4096};
    vkscan_external_buffer *buffer, *none;
    vkscan_external_semaphore *semaphore;
    vkscan_status status;
    program self;
    int round, next;

    status = vkscan_external_buffer_new(backend, VKSCAN_MEMORY_HANDLE_OPAQUE_FD, BYTES_OF_BUFFER - 15, &buffer);
    if (status == VKSCAN_STATUS_OK) {
        shared(backend, other, buffer);
        next = next_file();
        for (round = 0; round < 10; round++) {
            shared(backend, other, buffer);
            refused(other, buffer);
        }
        CHECK(next_file() == next);
        vkscan_external_buffer_free(buffer);
    } else {
        EXPECT(VKSCAN_STATUS_UNSUPPORTED, status, NULL);
        fprintf(stderr, "not run: %s\n", vkscan_last_error());
    }
    status = vkscan_external_semaphore_new(backend, VKSCAN_SEMAPHORE_HANDLE_OPAQUE_TIMELINE, &semaphore);
    if (status == VKSCAN_STATUS_OK) {
        ordered(backend, other, semaphore);
        vkscan_external_semaphore_free(semaphore);
    } else {
        EXPECT(VKSCAN_STATUS_UNSUPPORTED, status, NULL);
        fprintf(stderr, "not run: %s\n", vkscan_last_error());
    }
    wrong_semaphores(backend);

    /* A device of the program's that says nothing of extensions. */
    begin_program(&self, backend);
    without = backend_of(&self, NULL);
    EXPECT(VKSCAN_STATUS_UNSUPPORTED, vkscan_external_buffer_new(without, 0, 16, &none), "VK_KHR_external_memory_fd");
    EXPECT(VKSCAN_STATUS_UNSUPPORTED, vkscan_external_buffer_import(without, 0, &memory, &none),
           "VK_KHR_external_memory_fd");
    EXPECT(VKSCAN_STATUS_UNSUPPORTED, vkscan_external_semaphore_new(without, 2, &semaphore),
           "VK_KHR_external_semaphore_fd");
    CHECK(none == NULL && semaphore == NULL && is_open(0));
    vkscan_backend_free(without);
    end_program(&self);
    CHECK(vkscan_backend_allocated_bytes(backend) == 0);
    vkscan_backend_free(other);
}
