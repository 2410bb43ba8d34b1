/*
 * A program with a Vulkan device of its own, as far as the tests need one. The device is a backend's, lent by its
 * handles; so there is validation, whose messages misuse.c looks at, and no Vulkan headers are needed.
 */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <vkscan.h>

#define USAGE_TRANSFER_SRC 0x01
#define USAGE_STORAGE 0x20
#define STAGE_HOST 0x4000
#define ACCESS_HOST_READ 0x2000
#define ACCESS_HOST_WRITE 0x4000

typedef struct {
    vkscan_raw_handles handles;
    void *loader, *queue;
    const void *get_instance_proc_addr;
    uint64_t pool;
    uint32_t memory_type;
} program;

/* A buffer in memory of its own, which the host sees. */
typedef struct {
    vkscan_raw_buffer raw;
    uint64_t memory;
    void *mapped;
} buffer;

void begin_program(program *self, const vkscan_backend *owner);
void end_program(program *self);
/* Has the program's device be a backend's; it was made with the extension, unless that is NULL. */
vkscan_backend *backend_of(const program *self, const char *extension);

buffer make_buffer(const program *self, uint64_t size, uint32_t usage);
void free_buffer(const program *self, const buffer *which);

uint64_t make_pool(const program *self);
void free_pool(const program *self, uint64_t pool);
void *begin_commands(const program *self, uint64_t pool);
void end_commands(const program *self, void *commands);
/* From one half of a barrier to the other, for all memory. */
void barrier(const program *self, void *commands, vkscan_raw_scope before, vkscan_raw_scope behind);
/* Copies bytes from the front of one buffer to that of another, and waits until they are there. */
void copy_buffer(const program *self, uint64_t from, uint64_t to, uint64_t size);
/* Submits commands, and waits for them. */
void execute(const program *self, void *commands);

/* A timeline, at 0, or a binary semaphore. */
uint64_t make_semaphore(const program *self, int is_timeline);
void free_semaphore(const program *self, uint64_t semaphore);
void signal_semaphore(const program *self, uint64_t semaphore, uint64_t value);
void wait_semaphore(const program *self, uint64_t semaphore, uint64_t value);
uint64_t semaphore_value(const program *self, uint64_t semaphore);
/* Has the queue wait for a binary semaphore, and waits for that. */
void wait_on_queue(const program *self, uint64_t semaphore);

#endif
