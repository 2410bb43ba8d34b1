/* Vulkan, as far as the tests' program needs it: declared by hand, and found by name. */
#include "program.h"

#include <dlfcn.h>
#include <string.h>

#include "misuse.h"

/* VkStructureType. */
#define SUBMIT_INFO 4
#define MEMORY_ALLOCATE_INFO 5
#define SEMAPHORE_CREATE_INFO 9
#define BUFFER_CREATE_INFO 12
#define COMMAND_POOL_CREATE_INFO 39
#define COMMAND_BUFFER_ALLOCATE_INFO 40
#define COMMAND_BUFFER_BEGIN_INFO 42
#define MEMORY_BARRIER 46
#define SEMAPHORE_TYPE_CREATE_INFO 1000207002
#define SEMAPHORE_WAIT_INFO 1000207004
#define SEMAPHORE_SIGNAL_INFO 1000207005

#define HOST_VISIBLE_AND_COHERENT 6
#define ALL_COMMANDS 0x10000

typedef void (*function)(void);
typedef function (*get_proc_addr)(void *instance, const char *name);
typedef int32_t (*create)(void *device, const void *info, const void *callbacks, uint64_t *made);
typedef void (*destroy)(void *device, uint64_t object, const void *callbacks);
typedef int32_t (*call)(void *of, const void *info);

typedef struct {
    uint64_t size, alignment;
    uint32_t types;
} requirements;

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

typedef struct {
    uint32_t type;
    const void *next;
    uint32_t wait_count;
    const uint64_t *waits;
    const uint32_t *wait_stages;
    uint32_t command_count;
    void *const *commands;
    uint32_t signal_count;
    const uint64_t *signals;
} submit_info;

static function find(const program *self, const char *name)
{
    get_proc_addr get;
    function found;
    memcpy(&get, &self->get_instance_proc_addr, sizeof get);
    found = get(self->handles.instance, name);
    CHECK(found != NULL);
    return found;
}

/* Calls a vkCreate... or its like. */
static uint64_t make(const program *self, const char *name, const void *info)
{
    uint64_t made = 0;
    CHECK(((create)find(self, name))(self->handles.device, info, NULL, &made) == 0);
    return made;
}

static void unmake(const program *self, const char *name, uint64_t object)
{
    ((destroy)find(self, name))(self->handles.device, object, NULL);
}

void begin_program(program *self, const vkscan_backend *owner)
{
    memory_properties properties;
    void (*get_properties)(void *, memory_properties *);
    void (*get_queue)(void *, uint32_t, uint32_t, void **);

    self->handles.struct_size = sizeof self->handles;
    OK(vkscan_backend_raw_handles(owner, &self->handles));
    self->loader = dlopen("libvulkan.so.1", RTLD_NOW);
    CHECK(self->loader != NULL);
    self->get_instance_proc_addr = dlsym(self->loader, "vkGetInstanceProcAddr");
    CHECK(self->get_instance_proc_addr != NULL);
    get_queue = (void (*)(void *, uint32_t, uint32_t, void **))find(self, "vkGetDeviceQueue");
    get_queue(self->handles.device, self->handles.compute_queue.family, self->handles.compute_queue.index,
              &self->queue);
    get_properties = (void (*)(void *, memory_properties *))find(self, "vkGetPhysicalDeviceMemoryProperties");
    get_properties(self->handles.physical_device, &properties);
    for (self->memory_type = 0; self->memory_type < properties.type_count; self->memory_type++) {
        uint32_t flags = properties.types[self->memory_type].flags;
        if ((flags & HOST_VISIBLE_AND_COHERENT) == HOST_VISIBLE_AND_COHERENT) {
            break;
        }
    }
    self->pool = make_pool(self);
}

void end_program(program *self)
{
    free_pool(self, self->pool);
    dlclose(self->loader);
}

vkscan_backend *backend_of(const program *self, const char *extension)
{
    vkscan_raw_device raw;
    vkscan_backend *backend;
    OK(vkscan_raw_device_init(&raw, sizeof raw));
    raw.get_instance_proc_addr = self->get_instance_proc_addr;
    raw.instance = self->handles.instance;
    raw.physical_device = self->handles.physical_device;
    raw.device = self->handles.device;
    raw.compute_queue = self->handles.compute_queue;
    raw.timeline_semaphore = 1;
    raw.device_extensions = &extension;
    raw.device_extension_count = extension != NULL;
    OK(vkscan_backend_from_raw(&raw, &backend));
    return backend;
}

buffer make_buffer(const program *self, uint64_t size, uint32_t usage)
{
    struct {
        uint32_t type;
        const void *next;
        uint32_t flags;
        uint64_t size;
        uint32_t usage, sharing, family_count;
        const uint32_t *families;
    } info = {BUFFER_CREATE_INFO, NULL, 0, size, usage, 0, 0, NULL};
    struct {
        uint32_t type;
        const void *next;
        uint64_t size;
        uint32_t memory_type;
    } allocate = {MEMORY_ALLOCATE_INFO, NULL, 0, self->memory_type};
    void (*needs_of)(void *, uint64_t, requirements *);
    int32_t (*bind)(void *, uint64_t, uint64_t, uint64_t);
    int32_t (*map)(void *, uint64_t, uint64_t, uint64_t, uint32_t, void **);
    requirements needs;
    buffer made = {.raw = {.size = size, .usage = usage}};

    made.raw.buffer = make(self, "vkCreateBuffer", &info);
    needs_of = (void (*)(void *, uint64_t, requirements *))find(self, "vkGetBufferMemoryRequirements");
    needs_of(self->handles.device, made.raw.buffer, &needs);
    CHECK(needs.types >> self->memory_type & 1);
    allocate.size = needs.size;
    made.memory = make(self, "vkAllocateMemory", &allocate);
    bind = (int32_t (*)(void *, uint64_t, uint64_t, uint64_t))find(self, "vkBindBufferMemory");
    CHECK(bind(self->handles.device, made.raw.buffer, made.memory, 0) == 0);
    map = (int32_t (*)(void *, uint64_t, uint64_t, uint64_t, uint32_t, void **))find(self, "vkMapMemory");
    CHECK(map(self->handles.device, made.memory, 0, size, 0, &made.mapped) == 0);
    memset(made.mapped, 0, (size_t)size);
    return made;
}

void free_buffer(const program *self, const buffer *which)
{
    unmake(self, "vkDestroyBuffer", which->raw.buffer);
    unmake(self, "vkFreeMemory", which->memory);
}

uint64_t make_pool(const program *self)
{
    struct {
        uint32_t type;
        const void *next;
        uint32_t flags, family;
    } info = {COMMAND_POOL_CREATE_INFO, NULL, 0, self->handles.compute_queue.family};
    return make(self, "vkCreateCommandPool", &info);
}

void free_pool(const program *self, uint64_t pool)
{
    unmake(self, "vkDestroyCommandPool", pool);
}

void *begin_commands(const program *self, uint64_t pool)
{
    struct {
        uint32_t type;
        const void *next;
        uint64_t pool;
        uint32_t level, count;
    } allocate = {COMMAND_BUFFER_ALLOCATE_INFO, NULL, pool, 0, 1};
    struct {
        uint32_t type;
        const void *next;
        uint32_t flags;
        const void *inherited;
    } info = {COMMAND_BUFFER_BEGIN_INFO, NULL, 0, NULL};
    int32_t (*make_commands)(void *, const void *, void **);
    void *commands = NULL;
    make_commands = (int32_t (*)(void *, const void *, void **))find(self, "vkAllocateCommandBuffers");
    CHECK(make_commands(self->handles.device, &allocate, &commands) == 0);
    CHECK(((call)find(self, "vkBeginCommandBuffer"))(commands, &info) == 0);
    return commands;
}

void end_commands(const program *self, void *commands)
{
    CHECK(((int32_t (*)(void *))find(self, "vkEndCommandBuffer"))(commands) == 0);
}

void barrier(const program *self, void *commands, vkscan_raw_scope before, vkscan_raw_scope behind)
{
    struct {
        uint32_t type;
        const void *next;
        uint32_t before, behind;
    } memory = {MEMORY_BARRIER, NULL, before.access, behind.access};
    void (*record)(void *, uint32_t, uint32_t, uint32_t, uint32_t, const void *, uint32_t, const void *, uint32_t,
                   const void *);
    record = (void (*)(void *, uint32_t, uint32_t, uint32_t, uint32_t, const void *, uint32_t, const void *, uint32_t,
                       const void *))find(self, "vkCmdPipelineBarrier");
    record(commands, before.stages, behind.stages, 0, 1, &memory, 0, NULL, 0, NULL);
}

static void submit(const program *self, const submit_info *info)
{
    int32_t (*to_queue)(void *, uint32_t, const submit_info *, uint64_t);
    to_queue = (int32_t (*)(void *, uint32_t, const submit_info *, uint64_t))find(self, "vkQueueSubmit");
    CHECK(to_queue(self->queue, 1, info, 0) == 0);
    CHECK(((int32_t (*)(void *))find(self, "vkQueueWaitIdle"))(self->queue) == 0);
}

void execute(const program *self, void *commands)
{
    submit_info info = {.type = SUBMIT_INFO, .command_count = 1};
    info.commands = &commands;
    submit(self, &info);
}

void copy_buffer(const program *self, uint64_t from, uint64_t to, uint64_t size)
{
    const uint64_t region[3] = {0, 0, size};
    void (*record)(void *, uint64_t, uint64_t, uint32_t, const uint64_t *);
    uint64_t pool = make_pool(self);
    void *commands = begin_commands(self, pool);
    record = (void (*)(void *, uint64_t, uint64_t, uint32_t, const uint64_t *))find(self, "vkCmdCopyBuffer");
    record(commands, from, to, 1, region);
    end_commands(self, commands);
    execute(self, commands);
    free_pool(self, pool);
}

uint64_t make_semaphore(const program *self, int is_timeline)
{
    struct {
        uint32_t type;
        const void *next;
        uint32_t kind;
        uint64_t value;
    } timeline = {SEMAPHORE_TYPE_CREATE_INFO, NULL, 1, 0};
    struct {
        uint32_t type;
        const void *next;
        uint32_t flags;
    } info = {SEMAPHORE_CREATE_INFO, NULL, 0};
    if (is_timeline) {
        info.next = &timeline;
    }
    return make(self, "vkCreateSemaphore", &info);
}

void free_semaphore(const program *self, uint64_t semaphore)
{
    unmake(self, "vkDestroySemaphore", semaphore);
}

void signal_semaphore(const program *self, uint64_t semaphore, uint64_t value)
{
    struct {
        uint32_t type;
        const void *next;
        uint64_t semaphore, value;
    } info = {SEMAPHORE_SIGNAL_INFO, NULL, semaphore, value};
    CHECK(((call)find(self, "vkSignalSemaphore"))(self->handles.device, &info) == 0);
}

void wait_semaphore(const program *self, uint64_t semaphore, uint64_t value)
{
    struct {
        uint32_t type;
        const void *next;
        uint32_t flags, count;
        const uint64_t *semaphores, *values;
    } info = {SEMAPHORE_WAIT_INFO, NULL, 0, 1, NULL, NULL};
    int32_t (*wait)(void *, const void *, uint64_t);
    info.semaphores = &semaphore;
    info.values = &value;
    wait = (int32_t (*)(void *, const void *, uint64_t))find(self, "vkWaitSemaphores");
    CHECK(wait(self->handles.device, &info, (uint64_t)60000000000) == 0);
}

uint64_t semaphore_value(const program *self, uint64_t semaphore)
{
    int32_t (*get)(void *, uint64_t, uint64_t *);
    uint64_t value = 0;
    get = (int32_t (*)(void *, uint64_t, uint64_t *))find(self, "vkGetSemaphoreCounterValue");
    CHECK(get(self->handles.device, semaphore, &value) == 0);
    return value;
}

void wait_on_queue(const program *self, uint64_t semaphore)
{
    static const uint32_t stage = ALL_COMMANDS;
    submit_info info = {.type = SUBMIT_INFO, .wait_count = 1, .wait_stages = &stage};
    info.waits = &semaphore;
    submit(self, &info);
}
