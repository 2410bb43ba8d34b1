/*
 * A device of the caller's, with a lock for its queue, an allocator, and word of its end. It is a backend's device,
 * lent by its handles; so the program needs no Vulkan headers, and what it calls of Vulkan is declared here.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "misuse.h"

#define MEMORY_ALLOCATE_INFO 5
#define HOST_VISIBLE 2

typedef struct {
    uint32_t type;
    const void *next;
    uint64_t size;
    uint32_t memory_type;
} memory_allocate_info;

typedef struct {
    uint32_t type_count;
    struct {
        uint32_t flags, heap;
    } types[32];
    uint32_t heap_count;
    struct {
        uint64_t size;
        uint32_t flags;
    } heaps[16];
} memory_properties;

typedef void (*function)(void);
typedef function (*get_proc_addr)(void *of, const char *name);
typedef void (*get_memory_properties)(void *physical_device, memory_properties *properties);
typedef int32_t (*allocate_memory)(void *device, const memory_allocate_info *info, const void *callbacks,
                                   uint64_t *memory);
typedef int32_t (*map_memory)(void *device, uint64_t memory, uint64_t offset, uint64_t size, uint32_t flags,
                              void **mapped);
typedef void (*free_memory)(void *device, uint64_t memory, const void *callbacks);

/* The program's, and what it has been called for. */
typedef struct {
    void *device;
    memory_properties properties;
    allocate_memory allocate;
    map_memory map;
    free_memory free;
    int is_full, is_held, locks, live, allocations, drops;
} program;

static void lock(void *user_data, vkscan_raw_queue queue)
{
    program *self = user_data;
    (void)queue;
    CHECK(!self->is_held);
    self->is_held = 1;
    self->locks++;
}

static void unlock(void *user_data, vkscan_raw_queue queue)
{
    program *self = user_data;
    (void)queue;
    CHECK(self->is_held);
    self->is_held = 0;
}

static int32_t allocate(void *user_data, const vkscan_memory_request *request, vkscan_memory_range *range)
{
    program *self = user_data;
    memory_allocate_info info = {MEMORY_ALLOCATE_INFO, NULL, request->size, request->memory_type};
    CHECK(request->struct_size == sizeof *request && strlen(request->name) > 0);
    CHECK(range->memory == 0 && range->mapped == NULL);
    if (self->is_full || self->allocate(self->device, &info, NULL, &range->memory) != 0) {
        return 0;
    }
    if (self->properties.types[request->memory_type].flags & HOST_VISIBLE) {
        CHECK(self->map(self->device, range->memory, 0, UINT64_MAX, 0, &range->mapped) == 0);
    }
    range->token = 42;
    self->live++;
    self->allocations++;
    return 1;
}

static void free_range(void *user_data, const vkscan_memory_range *range)
{
    program *self = user_data;
    CHECK(range->token == 42);
    self->free(self->device, range->memory, NULL);
    self->live--;
}

static void on_drop(void *user_data)
{
    program *self = user_data;
    self->drops++;
}

static void features(const void *get_instance_proc_addr, const vkscan_raw_handles *handles)
{
    vkscan_required_features *required;
    vkscan_features needed = {.struct_size = sizeof needed}, optional = {.struct_size = sizeof optional};
    uint32_t major, minor;
    OK(vkscan_backend_required_features(get_instance_proc_addr, handles->instance, handles->physical_device,
                                        &required));
    OK(vkscan_required_features_get(required, &major, &minor, &needed, &optional));
    CHECK(major == 1 && minor == 2);
    CHECK(needed.feature_count == 1 && strcmp(needed.features[0], "timelineSemaphore") == 0);
    CHECK(needed.device_extension_count == 0 && needed.instance_extension_count == 0);
    CHECK(optional.instance_extension_count == 1);
    CHECK(strcmp(optional.instance_extensions[0], "VK_EXT_debug_utils") == 0);
    vkscan_required_features_free(required);
}

void raw_devices(const vkscan_backend *owner)
{
    static const char *const extensions[] = {"VK_EXT_debug_utils", NULL};
    const char *validation = getenv("VKSCAN_VALIDATION");
    void *loader = dlopen("libvulkan.so.1", RTLD_NOW);
    void *address = loader == NULL ? NULL : dlsym(loader, "vkGetInstanceProcAddr");
    get_proc_addr get;
    program self = {.device = NULL};
    vkscan_raw_handles handles = {.struct_size = sizeof handles}, same = {.struct_size = sizeof same};
    vkscan_raw_device raw;
    vkscan_backend *backend, *anew;
    vkscan_session *session;
    vkscan_session_options options;
    vkscan_memory_report *report;
    vkscan_rules *rules = compile();

    CHECK(address != NULL);
    memcpy(&get, &address, sizeof get);
    OK(vkscan_backend_raw_handles(owner, &handles));
    features(address, &handles);
    self.device = handles.device;
    self.allocate = (allocate_memory)get(handles.instance, "vkAllocateMemory");
    self.map = (map_memory)get(handles.instance, "vkMapMemory");
    self.free = (free_memory)get(handles.instance, "vkFreeMemory");
    ((get_memory_properties)get(handles.instance, "vkGetPhysicalDeviceMemoryProperties"))(handles.physical_device,
                                                                                        &self.properties);

    OK(vkscan_raw_device_init(&raw, sizeof raw));
    EXPECT(VKSCAN_STATUS_INVALID_HANDLE, vkscan_backend_from_raw(&raw, &backend), "get_instance_proc_addr");
    raw.get_instance_proc_addr = address;
    raw.instance = handles.instance;
    raw.physical_device = handles.physical_device;
    raw.device = handles.device;
    raw.compute_queue = handles.compute_queue;
    EXPECT(VKSCAN_STATUS_INVALID_HANDLE, vkscan_backend_from_raw(&raw, &backend), "timelineSemaphore");
    raw.timeline_semaphore = 1;
    raw.compute_queue.family = 99;
    EXPECT(VKSCAN_STATUS_INVALID_HANDLE, vkscan_backend_from_raw(&raw, &backend), "compute_queue");
    raw.compute_queue = handles.compute_queue;
    raw.queue_lock = lock;
    INVALID(vkscan_backend_from_raw(&raw, &backend), "one of `queue_lock` and `queue_unlock` is null");
    raw.queue_unlock = unlock;
    raw.queue_lock_user_data = &self;
    raw.allocate = allocate;
    INVALID(vkscan_backend_from_raw(&raw, &backend), "one of `allocate` and `free` is null");
    raw.free = free_range;
    raw.allocator_user_data = &self;
    raw.on_drop = on_drop;
    raw.on_drop_user_data = &self;
    raw.instance_extensions = extensions;
    raw.instance_extension_count = 2;
    INVALID(vkscan_backend_from_raw(&raw, &backend), "`instance_extensions` is null");
    CHECK(self.drops == 0);

    raw.instance_extension_count = validation != NULL && strcmp(validation, "1") == 0;
    OK(vkscan_backend_from_raw(&raw, &backend));
    OK(vkscan_backend_raw_handles(backend, &same));
    CHECK(same.device == handles.device && same.compute_queue.family == handles.compute_queue.family);
    CHECK(same.has_transfer_queue == 0);
    EXPECT(VKSCAN_STATUS_CALLERS_DEVICE, vkscan_backend_reopen(backend, &anew), "the caller's");
    session = prepare(backend, 1 << 16, 10);
    scan(session);
    CHECK(self.locks > 0 && self.allocations > 0 && self.live > 0);
    OK(vkscan_backend_memory_report(backend, &report));
    CHECK(vkscan_memory_report_block_bytes(report) == VKSCAN_UNKNOWN);
    vkscan_memory_report_free(report);
    vkscan_backend_free(backend);
    /* The session still holds the device. */
    CHECK(self.drops == 0);
    OK(vkscan_session_free(session));
    CHECK(self.drops == 1 && self.live == 0 && !self.is_held);

    /* An allocator that has nothing. */
    self.is_full = 1;
    OK(vkscan_backend_from_raw(&raw, &backend));
    OK(vkscan_session_options_init(&options, sizeof options));
    options.haystack_capacity_bytes = 1 << 16;
    options.max_matches = 10;
    EXPECT(VKSCAN_STATUS_OUT_OF_MEMORY, vkscan_session_prepare(backend, rules, &options, &session), "out of");
    CHECK(vkscan_backend_allocated_bytes(backend) == 0);
    vkscan_backend_free(backend);
    CHECK(self.drops == 2 && self.live == 0);
    vkscan_rules_free(rules);
    dlclose(loader);
}
