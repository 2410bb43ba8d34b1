/*
 * vkscan: scans bytes for thousands of regular expressions at once on raw Vulkan compute.
 *
 * Rules are compiled (vkscan_rules_compile), made resident on a device (vkscan_backend_open, vkscan_session_prepare),
 * and then any number of haystacks is scanned (vkscan_scan_haystack). examples/c/scan.c is a whole program. What there is for
 * programs with a Vulkan device of their own tells docs/EMBEDDING.md.
 *
 * Errors. What can fail returns a vkscan_status: VKSCAN_STATUS_OK, or else why it failed, and then vkscan_last_error()
 * has the whole text. What a function documents beyond that is what to expect of it in particular: each may also fail
 * with VKSCAN_STATUS_INVALID_ARGUMENT (a null pointer, a size that cannot be) and VKSCAN_STATUS_PANIC, and what uses a
 * device with VKSCAN_STATUS_OUT_OF_MEMORY, VKSCAN_STATUS_TIMEOUT, VKSCAN_STATUS_DEVICE_LOST and VKSCAN_STATUS_VULKAN.
 * A function that fails has made nothing: a handle that it was to make is NULL, which every vkscan_..._free ignores,
 * and other results are not to be used, unless it says otherwise.
 *
 * Handles. Each vkscan_..._free takes what its type's other functions gave. They may be freed in any order, for each
 * holds a share in what it needs. A handle that was freed must not be used again.
 *
 * Threads. Any thread may use any handle, and many may use one at the same time, but for what frees it.
 *
 * Pointers. Each that is not NULL has to be aligned and to point to as much as the function says, as long as the call
 * lasts. NULL is refused where something has to be there; where it may be NULL, the function says so. Arrays of no
 * elements may be NULL. Texts that are returned are UTF-8, end with a zero byte, and belong to the library.
 *
 * Structs. Those that begin with `struct_size` may get more fields in a later version. Options are filled by their
 * vkscan_..._init function before they are changed. A struct for results has its size set by the caller, as in
 * `vkscan_scan_stats stats = {.struct_size = sizeof stats};`. A size that is less than this version's is refused, and
 * so is one that is more, unless what is beyond is zero; of results what is beyond is set to zero. What is `reserved`
 * is 0.
 *
 * File descriptors. What has to do with them, all that is named external, is not there on Windows.
 *
 * Vulkan. Handles are as its own header has them for 64 bits: pointers for dispatchable objects, and numbers, to which
 * others are cast, for the rest. Flags are its numbers, too.
 */


#ifndef VKSCAN_H
#define VKSCAN_H

/* Made by cbindgen of capi/src: VKSCAN_UPDATE_HEADER=1 cargo build -p vkscan-capi. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Number of the binary interface that this header describes. Libraries of the same number may be exchanged for later
 * ones; it is the number in the shared library's name, too.
 */
#define VKSCAN_ABI_VERSION 0

/**
 * Stands for a number of bytes that is not known.
 */
#define VKSCAN_UNKNOWN UINT64_MAX

/**
 * Stands for a memory type that is not known.
 */
#define VKSCAN_UNKNOWN_MEMORY_TYPE UINT32_MAX

/**
 * Stands for all tenants together.
 */
#define VKSCAN_ALL_TENANTS UINT32_MAX

/**
 * Lets matches be as long as they are.
 */
#define VKSCAN_UNBOUNDED UINT32_MAX

/**
 * Longest haystack that a session can be prepared for, in bytes: 1 GiB.
 */
#define VKSCAN_MAX_HAYSTACK_BYTES (1 << 30)

/**
 * What a vkscan_read_fn returns where reading failed.
 */
#define VKSCAN_READ_FAILED -1

/**
 * What a vkscan_read_fn returns where there is nothing for now: what came before is scanned, as far as nothing that
 * follows can change it, and then the function is called again. To wait is its own part: where it returns this twice
 * without a byte in between, reading has failed.
 */
#define VKSCAN_READ_NOTHING_YET -2

/**
 * What a call came to. Numbers stay what they are; later versions may have more.
 */
typedef enum {
    /**
     * All went well.
     */
    VKSCAN_STATUS_OK = 0,
    /**
     * An argument cannot be: a null pointer, a size, a choice that there is not. vkscan_last_error() names it.
     */
    VKSCAN_STATUS_INVALID_ARGUMENT = 1,
    /**
     * A text is not UTF-8.
     */
    VKSCAN_STATUS_INVALID_UTF8 = 2,
    /**
     * The caller's array is too small. The number that is needed has been stored.
     */
    VKSCAN_STATUS_BUFFER_TOO_SMALL = 3,
    /**
     * It is being scanned: wait for its ticket first.
     */
    VKSCAN_STATUS_BUSY = 4,
    /**
     * A fault of the library's own. What the call was to do is not done.
     */
    VKSCAN_STATUS_PANIC = 5,
    /**
     * A fault that this version has no status for.
     */
    VKSCAN_STATUS_OTHER = 6,
    /**
     * A pattern is not a regular expression that the `regex` crate accepts.
     */
    VKSCAN_STATUS_SYNTAX = 20,
    /**
     * A pattern compiles to more than `size_limit` bytes.
     */
    VKSCAN_STATUS_PATTERN_TOO_LARGE = 21,
    /**
     * Bytes are no rules that this version wrote, or they were damaged.
     */
    VKSCAN_STATUS_MALFORMED = 22,
    /**
     * There is no Vulkan loader, or it is older than Vulkan 1.2.
     */
    VKSCAN_STATUS_LOADER_MISSING = 40,
    /**
     * The loader cannot read the manifest of a driver or a layer.
     */
    VKSCAN_STATUS_LOADER_FAILED = 41,
    /**
     * No driver offers a device.
     */
    VKSCAN_STATUS_NO_DEVICE = 42,
    /**
     * No device fits the selector.
     */
    VKSCAN_STATUS_DEVICE_NOT_FOUND = 43,
    /**
     * The device cannot run vkscan.
     */
    VKSCAN_STATUS_UNSUPPORTED_DEVICE = 44,
    /**
     * Validation was asked for and cannot be had.
     */
    VKSCAN_STATUS_VALIDATION_MISSING = 45,
    /**
     * Memory of the host or of the device ran out.
     */
    VKSCAN_STATUS_OUT_OF_MEMORY = 46,
    /**
     * More was asked for than there can be, or than a limit of the caller's allows.
     */
    VKSCAN_STATUS_LIMIT_EXCEEDED = 47,
    /**
     * The device did not answer in time.
     */
    VKSCAN_STATUS_TIMEOUT = 48,
    /**
     * What was freed is still in use. Nothing has leaked: it is given back when that is over.
     */
    VKSCAN_STATUS_STILL_IN_USE = 49,
    /**
     * A handle, a queue or memory of the caller's cannot be used.
     */
    VKSCAN_STATUS_INVALID_HANDLE = 50,
    /**
     * The call takes a device that vkscan opened itself.
     */
    VKSCAN_STATUS_CALLERS_DEVICE = 51,
    /**
     * The device is gone: free all that was made from it and open another one.
     */
    VKSCAN_STATUS_DEVICE_LOST = 52,
    /**
     * Any other Vulkan call that failed.
     */
    VKSCAN_STATUS_VULKAN = 53,
    /**
     * The device lacks what the call takes, or was made without it.
     */
    VKSCAN_STATUS_UNSUPPORTED = 54,
    /**
     * RenderDoc is not in the process, or does not know the device.
     */
    VKSCAN_STATUS_RENDER_DOC_MISSING = 55,
    /**
     * A capture did not come about.
     */
    VKSCAN_STATUS_CAPTURE_FAILED = 56,
    /**
     * What the driver has made of kernels could not be kept.
     */
    VKSCAN_STATUS_PIPELINE_CACHE = 57,
    /**
     * The haystack does not fit the session.
     */
    VKSCAN_STATUS_HAYSTACK_TOO_LARGE = 60,
    /**
     * There are more matches than the session was prepared for.
     */
    VKSCAN_STATUS_TOO_MANY_MATCHES = 61,
    /**
     * One pattern's tables are larger than a buffer of this device may be.
     */
    VKSCAN_STATUS_RULE_TOO_LARGE = 62,
    /**
     * A pattern cannot be decided within a window of the stream.
     */
    VKSCAN_STATUS_UNDECIDED = 63,
    /**
     * Tickets hold all scans that the session takes at a time.
     */
    VKSCAN_STATUS_ALL_IN_FLIGHT = 64,
    /**
     * What was given belongs to another backend than the session.
     */
    VKSCAN_STATUS_WRONG_BACKEND = 65,
    /**
     * The session's windows are too small for a stream.
     */
    VKSCAN_STATUS_WINDOW_TOO_SMALL = 66,
    /**
     * The read callback failed.
     */
    VKSCAN_STATUS_READ = 67,
    /**
     * A tuning profile is none, was measured on something else, or the device cannot do it.
     */
    VKSCAN_STATUS_TUNING = 68,
    /**
     * The ring session has been shut down, or could not be made anew after the loss of its device.
     */
    VKSCAN_STATUS_CLOSED = 80,
    /**
     * There is no room left: in a ring while what is in flight takes it, or in a batch.
     */
    VKSCAN_STATUS_RING_FULL = 81,
    /**
     * Items do not fit a round, however empty the ring is.
     */
    VKSCAN_STATUS_TOO_MANY_ITEMS = 82,
    /**
     * Items that a fault of the device has held up are to be waited for first.
     */
    VKSCAN_STATUS_UNCOLLECTED = 83,
    /**
     * The memory of a batch is gone.
     */
    VKSCAN_STATUS_BATCH_LOST = 84,
    /**
     * The tenant has no rules.
     */
    VKSCAN_STATUS_NO_RULES = 85,
    /**
     * The device found an item's slot at fault, and has not looked at the item.
     */
    VKSCAN_STATUS_ITEM_FAULTED = 86,
} vkscan_status;

/**
 * What an executed recording has come to.
 */
typedef enum {
    /**
     * It has not run.
     */
    VKSCAN_RECORDED_STATE_NOT_RUN = 0,
    /**
     * All matches are there.
     */
    VKSCAN_RECORDED_STATE_COMPLETE = 1,
    /**
     * vkscan_recording_continue takes it further: rounds, starts or matches were more than was recorded for, or
     * candidates more than there is room for. Then every start is verified, which takes long; a scan by the host does
     * as much as it has to.
     */
    VKSCAN_RECORDED_STATE_GOES_ON = 2,
    /**
     * There are more matches than there is room for.
     */
    VKSCAN_RECORDED_STATE_TOO_MANY = 3,
    /**
     * It has to be done in parts, as the host does it: by vkscan_scan_haystack of what
     * vkscan_resident_haystack_from_raw makes. Or another recording has run since, and this one cannot go on.
     */
    VKSCAN_RECORDED_STATE_NEEDS_HOST = 4,
    /**
     * The haystack was to be longer than was recorded.
     */
    VKSCAN_RECORDED_STATE_TOO_LONG = 5,
} vkscan_recorded_state;

/**
 * What kind of device it is, the most preferred first.
 */
typedef enum {
    /**
     * A GPU with its own memory.
     */
    VKSCAN_DEVICE_KIND_DISCRETE = 0,
    /**
     * A GPU that shares the host's memory.
     */
    VKSCAN_DEVICE_KIND_INTEGRATED = 1,
    /**
     * A GPU of a virtual machine.
     */
    VKSCAN_DEVICE_KIND_VIRTUAL = 2,
    /**
     * A driver that runs on the CPU.
     */
    VKSCAN_DEVICE_KIND_CPU = 3,
    /**
     * Anything else.
     */
    VKSCAN_DEVICE_KIND_OTHER = 4,
} vkscan_device_kind;

/**
 * Which matches of a pattern a scan reports.
 */
typedef enum {
    /**
     * For each pattern on its own, the non-empty matches that the `regex` crate's `find_iter` yields: leftmost first,
     * preferring earlier alternatives and greedy repeats, without overlaps.
     */
    VKSCAN_MATCH_KIND_LEFTMOST_FIRST = 0,
    /**
     * Every non-empty range that the pattern matches, overlapping ones included.
     */
    VKSCAN_MATCH_KIND_ALL = 1,
} vkscan_match_kind;

/**
 * How a file descriptor stands for memory.
 */
typedef enum {
    /**
     * As Vulkan devices of the same `uuid` and `driver_uuid` know it among themselves, and CUDA on the same device:
     * VK_KHR_external_memory_fd.
     */
    VKSCAN_MEMORY_HANDLE_OPAQUE_FD = 0,
    /**
     * A Linux dma-buf, which other devices and drivers know, too: VK_EXT_external_memory_dma_buf.
     */
    VKSCAN_MEMORY_HANDLE_DMA_BUF = 1,
} vkscan_memory_handle;

/**
 * Where a buffer's memory lies, and what for.
 */
typedef enum {
    /**
     * Fastest for kernels; the host cannot be sure to see it.
     */
    VKSCAN_MEMORY_LOCATION_DEVICE_LOCAL = 0,
    /**
     * As fast for kernels, and mapped where all of the device's memory is within the host's reach.
     */
    VKSCAN_MEMORY_LOCATION_DEVICE_LOCAL_MAPPED = 1,
    /**
     * Host memory that the device reads.
     */
    VKSCAN_MEMORY_LOCATION_UPLOAD = 2,
    /**
     * Host memory that the device writes.
     */
    VKSCAN_MEMORY_LOCATION_READBACK = 3,
    /**
     * Little memory that both write to and read at any time.
     */
    VKSCAN_MEMORY_LOCATION_SHARED = 4,
    /**
     * Another place, of a later version.
     */
    VKSCAN_MEMORY_LOCATION_OTHER = 5,
} vkscan_memory_location;

/**
 * What a ring's device counts. Counters never go down.
 */
typedef enum {
    /**
     * Items whose matches are known.
     */
    VKSCAN_RING_COUNTER_ITEMS = 0,
    /**
     * Bytes of these.
     */
    VKSCAN_RING_COUNTER_BYTES = 1,
    /**
     * Hits that the device has found: what matches are selected among. Where a round is scanned in parts, or a part
     * once more, those that it found then count again.
     */
    VKSCAN_RING_COUNTER_HITS = 2,
    /**
     * Slots that were found at fault.
     */
    VKSCAN_RING_COUNTER_FAULTS = 3,
} vkscan_ring_counter;

/**
 * What semaphore it is, and how a file descriptor stands for it: VK_KHR_external_semaphore_fd.
 */
typedef enum {
    /**
     * A binary one, as Vulkan devices of the same `uuid` and `driver_uuid` know it among themselves, and CUDA on the
     * same device.
     */
    VKSCAN_SEMAPHORE_HANDLE_OPAQUE_BINARY = 0,
    /**
     * A timeline, likewise. It begins at 0.
     */
    VKSCAN_SEMAPHORE_HANDLE_OPAQUE_TIMELINE = 1,
    /**
     * A binary one, of which each signal is a Linux sync file of its own, which other devices and drivers know, too.
     */
    VKSCAN_SEMAPHORE_HANDLE_SYNC_FD = 2,
} vkscan_semaphore_handle;

/**
 * Whether `.`, `\w`, `(?i)` and their like speak of bytes or of code points.
 */
typedef enum {
    /**
     * Bytes; code points for a pattern that only parses that way, such as `\p{Greek}`.
     */
    VKSCAN_UNICODE_POLICY_WHEN_NEEDED = 0,
    /**
     * Bytes. A pattern that needs code points is an error.
     */
    VKSCAN_UNICODE_POLICY_NEVER = 1,
    /**
     * Code points. Inline `(?-u)` still switches to bytes.
     */
    VKSCAN_UNICODE_POLICY_ALWAYS = 2,
} vkscan_unicode_policy;

/**
 * Whether to run under the Khronos validation layer: its core checks and its synchronisation checks. That is slow, and
 * meant for tests.
 */
typedef enum {
    /**
     * As the environment variable VKSCAN_VALIDATION says: `0`, `1` or `robust-access`; without it, off.
     */
    VKSCAN_VALIDATION_FROM_ENVIRONMENT = 0,
    /**
     * Off.
     */
    VKSCAN_VALIDATION_OFF = 1,
    /**
     * On.
     */
    VKSCAN_VALIDATION_ON = 2,
    /**
     * On, and what kernels access outside of buffers is harmless.
     */
    VKSCAN_VALIDATION_ROBUST_ACCESS = 3,
} vkscan_validation;

/**
 * An open device. Sessions hold a share in it.
 */
typedef struct vkscan_backend vkscan_backend;

/**
 * A capture of what happens on a device.
 */
typedef struct vkscan_capture vkscan_capture;

/**
 * All devices there are.
 */
typedef struct vkscan_device_list vkscan_device_list;

/**
 * A buffer in device memory that others share: another device, another process, CUDA. They write haystacks there
 * (vkscan_resident_haystack_from_external), or read hits (vkscan_recording_record).
 *
 * Who may use it when is theirs to agree on, by semaphores such as a vkscan_external_semaphore, or by waiting. Each
 * submission of a scan takes the memory over from VK_QUEUE_FAMILY_EXTERNAL, or of a dma-buf from
 * VK_QUEUE_FAMILY_FOREIGN_EXT where the device has that, and hands it back; so does whoever else uses it by Vulkan,
 * commands of a recording included.
 */
typedef struct vkscan_external_buffer vkscan_external_buffer;

/**
 * A semaphore that others share, for vkscan_submit_haystack. It has to outlive its use: what waits for it has done so
 * when its scan is over; what signals it has run when a later scan of the same backend is over, for they are on one
 * queue.
 */
typedef struct vkscan_external_semaphore vkscan_external_semaphore;

/**
 * A haystack in host memory that the device copies from by itself: no copy by the host comes before. It can be scanned
 * by any session of its backend, as often as needed.
 */
typedef struct vkscan_imported_haystack vkscan_imported_haystack;

/**
 * The memory of a device at a moment.
 */
typedef struct vkscan_memory_report vkscan_memory_report;

/**
 * What scans are recorded with: device memory for one scan at a time, and descriptor sets for several. It holds a
 * share in its session. A thread that uses it while another one does waits until that is done.
 */
typedef struct vkscan_recording vkscan_recording;

/**
 * What a device has to be made with so that vkscan can use it, and what it may be made with besides.
 */
typedef struct vkscan_required_features vkscan_required_features;

/**
 * A haystack in device memory, to be scanned by any session of its backend, as often as needed.
 */
typedef struct vkscan_resident_haystack vkscan_resident_haystack;

/**
 * A ring session: rules that are resident on a device, and a ring of slots there, into which many small haystacks are
 * published together. Any number of threads may publish at a time.
 *
 * Should a device that vkscan opened itself be lost, the ring makes itself anew once on the same physical device, and
 * items that were not waited for are scanned again.
 */
typedef struct vkscan_ring vkscan_ring;

/**
 * Staging memory lent by a ring, for items of one tenant: what is read straight into it needs no packing. It holds a
 * share in its ring.
 */
typedef struct vkscan_ring_batch vkscan_ring_batch;

/**
 * Items that were published together. It holds a share in its ring.
 */
typedef struct vkscan_ring_ticket vkscan_ring_ticket;

/**
 * Compiled rules, ready to be made resident on a device.
 */
typedef struct vkscan_rules vkscan_rules;

/**
 * Rules whose tables are resident on a device, ready to scan. Many threads may scan through one session at a time.
 */
typedef struct vkscan_session vkscan_session;

/**
 * A session that has been worked out for a device, and is yet to be made there, as often as wanted.
 */
typedef struct vkscan_session_plan vkscan_session_plan;

/**
 * Staging memory lent by a session, to read a file or a socket straight into: a scan of it saves a copy.
 */
typedef struct vkscan_staged_haystack vkscan_staged_haystack;

/**
 * A scan that has been submitted. It holds a share in its session and in a haystack of vkscan's.
 */
typedef struct vkscan_ticket vkscan_ticket;

/**
 * Errors and warnings of the validation layers, in the order they came. It may outlive its backend, and then has what
 * was said while that was closed.
 */
typedef struct vkscan_validation_log vkscan_validation_log;

/**
 * How to open a device.
 */
typedef struct {
    /**
     * sizeof(vkscan_backend_options).
     */
    uint32_t struct_size;
    /**
     * A vkscan_validation; by default VKSCAN_VALIDATION_FROM_ENVIRONMENT.
     */
    uint32_t validation;
    /**
     * Which device: its index, a part of its name, or its UUID. NULL, the default, takes the environment variable
     * VKSCAN_DEVICE, and without that the best device there is.
     */
    const char *device;
    /**
     * The Vulkan loader's library. NULL, the default, takes the system's.
     */
    const char *loader_path;
    /**
     * Milliseconds that a call waits for a device that does not answer, anew whenever it has answered; by default
     * 60000.
     */
    uint64_t wait_timeout_ms;
    /**
     * Bytes that all buffers may have together: what would be more fails with VKSCAN_STATUS_LIMIT_EXCEEDED before it
     * is allocated. 0, the default, is as many as there is memory for.
     */
    uint64_t memory_limit;
    /**
     * A file that is read when the device is opened, and written when the backend is freed: what the driver has made of
     * kernels, so that another process does not wait for that. It is made if it is not there. What cannot be used is
     * ignored and replaced, and what is no such file at all is left as it is. NULL, the default, is none.
     */
    const char *pipeline_cache;
    /**
     * Not 0: have the device write down which stages it begins and ends, so that the text of VKSCAN_STATUS_DEVICE_LOST
     * says where it was. Scans take longer. 0 is the default.
     */
    uint32_t stage_marks;
} vkscan_backend_options;

/**
 * A device. Texts are valid as long as the handle that they were asked of.
 */
typedef struct {
    /**
     * sizeof(vkscan_device_info).
     */
    uint32_t struct_size;
    /**
     * Position in the loader's enumeration.
     */
    uint32_t index;
    /**
     * The driver's name for it.
     */
    const char *name;
    /**
     * Name of the driver.
     */
    const char *driver_name;
    /**
     * Version of the driver, as it words it.
     */
    const char *driver_info;
    /**
     * Why it cannot run vkscan; NULL if it can.
     */
    const char *unsuitable;
    /**
     * Why it is the one that the options at hand pick; NULL if it is not.
     */
    const char *preference;
    /**
     * A vkscan_device_kind.
     */
    uint32_t kind;
    /**
     * PCI vendor id, or a Khronos vendor id above 0xFFFF.
     */
    uint32_t vendor_id;
    /**
     * Stays the same across processes and, with most drivers, across restarts; zero before Vulkan 1.2.
     */
    uint8_t uuid[16];
    /**
     * Vulkan version.
     */
    uint32_t api_version_major;
    /**
     * Vulkan version.
     */
    uint32_t api_version_minor;
    /**
     * Vulkan version.
     */
    uint32_t api_version_patch;
    /**
     * Storage buffers that one kernel may bind.
     */
    uint32_t max_storage_buffers;
    /**
     * Largest range that one storage buffer can cover, in bytes.
     */
    uint64_t max_storage_buffer_range;
    /**
     * Largest single allocation, in bytes.
     */
    uint64_t max_allocation_bytes;
    /**
     * Size of the largest heap of the device's own, in bytes.
     */
    uint64_t device_local_bytes;
    /**
     * Bytes of that heap that this process may use now, or VKSCAN_UNKNOWN.
     */
    uint64_t device_local_budget_bytes;
    /**
     * What the offset of a buffer that kernels bind has to be a multiple of, in bytes.
     */
    uint64_t storage_buffer_alignment;
    /**
     * Host memory is imported in ranges that begin and end at multiples of so many bytes, which vkscan sees to
     * (vkscan_imported_haystack_new); 0 if the device does not import any.
     */
    uint64_t host_import_alignment;
    /**
     * That of the driver and its version: what goes by opaque file descriptors goes between devices of which both this
     * and `uuid` are the same. Zero before Vulkan 1.2.
     */
    uint8_t driver_uuid[16];
} vkscan_device_info;

/**
 * What whoever imports memory has to know of it beside its file descriptor, and which part of it is meant.
 */
typedef struct {
    /**
     * sizeof(vkscan_external_memory).
     */
    uint32_t struct_size;
    /**
     * A vkscan_memory_handle: what the file descriptor is.
     */
    uint32_t handle;
    /**
     * Bytes of all of it, as it was allocated.
     */
    uint64_t allocation_bytes;
    /**
     * Where the buffer begins in it, in bytes.
     */
    uint64_t offset;
    /**
     * Bytes of the buffer.
     */
    uint64_t bytes;
    /**
     * Index of the memory type that it was allocated of. VKSCAN_UNKNOWN_MEMORY_TYPE where it has none, because it is no
     * Vulkan device that it was allocated by, or another one.
     */
    uint32_t memory_type;
    /**
     * 0.
     */
    uint32_t reserved;
} vkscan_external_memory;

/**
 * A VkBuffer of the caller's. Handed over, it promises: it is a buffer of the backend's device, was made so, is bound
 * to memory, is shared with or owned by the family of the queue that it is used on, and outlives its use, which is
 * that of what is made with it, and each execution of commands that are recorded with it.
 */
typedef struct {
    /**
     * The VkBuffer.
     */
    uint64_t buffer;
    /**
     * Bytes that it was made with.
     */
    uint64_t size;
    /**
     * VkBufferUsageFlags that it was made with.
     */
    uint32_t usage;
    /**
     * 0.
     */
    uint32_t reserved;
} vkscan_raw_buffer;

/**
 * Is told that memory is not read any more and may go, by whichever thread lets go of it last. It returns, and calls
 * no function of vkscan's.
 */
typedef void (*vkscan_release_fn)(void *user_data);

/**
 * Buffers for one purpose on one heap.
 */
typedef struct {
    /**
     * sizeof(vkscan_memory_use).
     */
    uint32_t struct_size;
    /**
     * Index of the heap.
     */
    uint32_t heap;
    /**
     * What the buffers are for, such as "tables" or "staging". It is valid as long as the report.
     */
    const char *purpose;
    /**
     * Number of buffers.
     */
    uint64_t buffers;
    /**
     * Bytes of all of them.
     */
    uint64_t bytes;
} vkscan_memory_use;

/**
 * A heap of a device.
 */
typedef struct {
    /**
     * sizeof(vkscan_memory_heap).
     */
    uint32_t struct_size;
    /**
     * 1 if it is the device's own, or else 0.
     */
    uint32_t device_local;
    /**
     * Bytes.
     */
    uint64_t size;
    /**
     * Bytes of it that this process can expect to be able to use at the moment, or VKSCAN_UNKNOWN.
     */
    uint64_t budget;
    /**
     * Bytes of it that this process uses, by whomever, or VKSCAN_UNKNOWN.
     */
    uint64_t process_usage;
} vkscan_memory_heap;

/**
 * What a session is prepared for.
 */
typedef struct {
    /**
     * sizeof(vkscan_session_options).
     */
    uint32_t struct_size;
    /**
     * Scans that may be under way at the same time, 256 at most; further ones wait for one to be over. Each takes
     * device memory for a haystack and its hits, and staging memory for a haystack. 0, the default, is 4 for haystacks
     * of up to 4 MiB, 2 up to 64 MiB, and 1 for larger ones.
     */
    uint32_t scans_in_flight;
    /**
     * Longest haystack, in bytes; at most VKSCAN_MAX_HAYSTACK_BYTES. There is no default: it is 0.
     */
    size_t haystack_capacity_bytes;
    /**
     * Most matches that a scan may have. There is no default: it is 0.
     */
    size_t max_matches;
    /**
     * A profile that `vkscan tune` wrote on this device, with this driver and this version of vkscan. NULL, the default,
     * is what is built in.
     */
    const char *tuning_profile;
} vkscan_session_options;

/**
 * Buffers for one purpose that a session will have.
 */
typedef struct {
    /**
     * sizeof(vkscan_planned_memory).
     */
    uint32_t struct_size;
    /**
     * 0.
     */
    uint32_t reserved;
    /**
     * What the buffers are for, as a vkscan_memory_use says it. It is valid as long as the plan.
     */
    const char *purpose;
    /**
     * Number of buffers.
     */
    uint64_t buffers;
    /**
     * Bytes of all of them.
     */
    uint64_t bytes;
} vkscan_planned_memory;

/**
 * A queue of a device, as vkGetDeviceQueue gets it.
 */
typedef struct {
    /**
     * Index of its family.
     */
    uint32_t family;
    /**
     * Its index in the family.
     */
    uint32_t index;
} vkscan_raw_queue;

/**
 * Takes or gives back the lock of a queue, which whoever uses that queue holds.
 */
typedef void (*vkscan_queue_lock_fn)(void *user_data, vkscan_raw_queue queue);

/**
 * What is asked of a caller's allocator.
 */
typedef struct {
    /**
     * sizeof(vkscan_memory_request), as the library knows it.
     */
    uint32_t struct_size;
    /**
     * A vkscan_memory_location; the memory type is one that serves it.
     */
    uint32_t location;
    /**
     * What the memory is for. The text is valid until the call returns.
     */
    const char *name;
    /**
     * Bytes.
     */
    uint64_t size;
    /**
     * What its offset has to be a multiple of, in bytes; a power of two.
     */
    uint64_t alignment;
    /**
     * The index of a memory type of the physical device.
     */
    uint32_t memory_type;
    /**
     * 0.
     */
    uint32_t reserved;
} vkscan_memory_request;

/**
 * A range of a VkDeviceMemory.
 */
typedef struct {
    /**
     * The VkDeviceMemory.
     */
    uint64_t memory;
    /**
     * Where the range begins in it, in bytes.
     */
    uint64_t offset;
    /**
     * Where the host finds the range's first byte; NULL where the memory is not host-visible.
     */
    void *mapped;
    /**
     * Whatever its allocator knows it by.
     */
    uint64_t token;
} vkscan_memory_range;

/**
 * Allocates a range of memory, and returns 1; or returns 0 where that type has no room left: another may be asked for
 * next. The range, all zero before the call,
 * - is of memory allocated from the device, of the type that was asked for, and not for one resource alone
 *   (VkMemoryDedicatedAllocateInfo);
 * - has at least as many bytes as were asked for, from an offset that is aligned as was asked;
 * - is mapped for as long as it lives where its type is host-visible, and is then where `mapped` says;
 * - is nobody else's until it is freed.
 *
 * Several threads may call it at a time.
 */
typedef int32_t (*vkscan_allocate_fn)(void *user_data,
                                      const vkscan_memory_request *request,
                                      vkscan_memory_range *range);

/**
 * Takes back what the allocator gave: nothing is bound to it any more. Several threads may call it at a time.
 */
typedef void (*vkscan_free_fn)(void *user_data, const vkscan_memory_range *range);

/**
 * Is told that nothing of vkscan's is left on a device, by whichever thread frees the last of it.
 */
typedef void (*vkscan_on_drop_fn)(void *user_data);

/**
 * A Vulkan device that the caller made and goes on owning. Dispatchable handles are pointers, the others numbers.
 */
typedef struct {
    /**
     * sizeof(vkscan_raw_device).
     */
    uint32_t struct_size;
    /**
     * 1 if the feature timelineSemaphore was enabled, which is needed; by default 0.
     */
    uint32_t timeline_semaphore;
    /**
     * vkGetInstanceProcAddr of the loader that the instance was made with.
     */
    const void *get_instance_proc_addr;
    /**
     * The VkInstance, made for Vulkan 1.2 or later.
     */
    void *instance;
    /**
     * The VkPhysicalDevice.
     */
    void *physical_device;
    /**
     * The VkDevice.
     */
    void *device;
    /**
     * The queue that kernels run on.
     */
    vkscan_raw_queue compute_queue;
    /**
     * A queue for copies beside kernels, if `has_transfer_queue` is 1.
     */
    vkscan_raw_queue transfer_queue;
    /**
     * 1 if there is a queue for copies; by default 0.
     */
    uint32_t has_transfer_queue;
    /**
     * 0.
     */
    uint32_t reserved;
    /**
     * Names of the extensions that were enabled on the instance; those that vkscan_backend_required_features does not
     * name need not be among them.
     */
    const char *const *instance_extensions;
    /**
     * Their number.
     */
    size_t instance_extension_count;
    /**
     * Names of the extensions that were enabled on the device, likewise.
     */
    const char *const *device_extensions;
    /**
     * Their number.
     */
    size_t device_extension_count;
    /**
     * A VkPipelineCache that pipelines are made with; 0, the default, for none.
     */
    uint64_t pipeline_cache;
    /**
     * Bytes that all buffers may have together; 0, the default, is as many as there is memory for.
     */
    uint64_t memory_limit;
    /**
     * As in vkscan_backend_options.
     */
    uint64_t wait_timeout_ms;
    /**
     * Called before a queue is used; NULL, with `queue_unlock`, if nobody else uses the queues.
     */
    vkscan_queue_lock_fn queue_lock;
    /**
     * Called after a queue was used, by the same thread.
     */
    vkscan_queue_lock_fn queue_unlock;
    /**
     * For these two.
     */
    void *queue_lock_user_data;
    /**
     * Where all memory comes from; NULL, with `free`, for blocks of vkscan's own.
     */
    vkscan_allocate_fn allocate;
    /**
     * Takes memory back.
     */
    vkscan_free_fn free;
    /**
     * For these two.
     */
    void *allocator_user_data;
    /**
     * Called when nothing of vkscan's is left on the device, or NULL. It is not called if the device has not answered
     * by then, for it may still be at what is left, nor if the backend could not be made.
     */
    vkscan_on_drop_fn on_drop;
    /**
     * For that one.
     */
    void *on_drop_user_data;
} vkscan_raw_device;

/**
 * The raw handles of a backend, whoever made them. They are alive as long as it is, and are not to be destroyed.
 */
typedef struct {
    /**
     * sizeof(vkscan_raw_handles).
     */
    uint32_t struct_size;
    /**
     * 1 if copies have a queue of their own, or else 0.
     */
    uint32_t has_transfer_queue;
    /**
     * The VkInstance.
     */
    void *instance;
    /**
     * The VkPhysicalDevice.
     */
    void *physical_device;
    /**
     * The VkDevice.
     */
    void *device;
    /**
     * The queue that kernels run on. Sharing it takes a lock: `queue_lock` of vkscan_raw_device.
     */
    vkscan_raw_queue compute_queue;
    /**
     * The queue for copies, if that is another one.
     */
    vkscan_raw_queue transfer_queue;
} vkscan_raw_handles;

/**
 * Names of features and extensions, as Vulkan's specification has them.
 */
typedef struct {
    /**
     * sizeof(vkscan_features).
     */
    uint32_t struct_size;
    /**
     * 0.
     */
    uint32_t reserved;
    /**
     * Features, such as "timelineSemaphore".
     */
    const char *const *features;
    /**
     * Their number.
     */
    size_t feature_count;
    /**
     * Device extensions.
     */
    const char *const *device_extensions;
    /**
     * Their number.
     */
    size_t device_extension_count;
    /**
     * Instance extensions.
     */
    const char *const *instance_extensions;
    /**
     * Their number.
     */
    size_t instance_extension_count;
} vkscan_features;

/**
 * How a recording is made.
 */
typedef struct {
    /**
     * sizeof(vkscan_recording_options).
     */
    uint32_t struct_size;
    /**
     * Scans that can be recorded until vkscan_recording_clear, at least 1; by default 16.
     */
    uint32_t recordings;
    /**
     * Bytes of the largest haystack that has to be copied first, because its buffer was made without
     * VK_BUFFER_USAGE_STORAGE_BUFFER_BIT, its offset is not aligned, or the buffer ends in the middle of its last 16
     * bytes. 0, the default, takes no memory for that.
     */
    size_t copied_bytes;
} vkscan_recording_options;

/**
 * A scan to be recorded: from where to where, and how.
 */
typedef struct {
    /**
     * sizeof(vkscan_record_options).
     */
    uint32_t struct_size;
    /**
     * Longest match, in bytes; by default VKSCAN_UNBOUNDED.
     */
    uint32_t max_scan_bytes;
    /**
     * Rounds of verifying that are recorded, at least 1, which is the default and all that most scans take. Where there
     * are more, starts that hits leave open are verified, too. What is not finished goes on
     * (VKSCAN_RECORDED_STATE_GOES_ON). Each round takes the host some 3 microseconds to record, and the device a few
     * where there is nothing to do.
     */
    uint32_t rounds;
    /**
     * 1 if what sorts and selects from more hits than one workgroup takes, which are some 2,000, is recorded: it costs
     * host and device some tens of microseconds. 0, the default, if not; then more hits go on.
     */
    uint32_t many_matches;
    /**
     * 1, the default, if barriers are recorded that order the scan between all that comes before and behind; or else
     * 0, and then the caller records what vkscan_recording_required_barriers says.
     */
    uint32_t barriers;
    /**
     * Matches that there is room for in `hits`. There is no default: it is 0.
     */
    uint32_t max_matches;
    /**
     * The buffer that the haystack is in. There is no default: it is null.
     */
    vkscan_raw_buffer haystack;
    /**
     * Where the haystack begins in it, in bytes; by default 0.
     */
    uint64_t haystack_offset;
    /**
     * Bytes of the haystack, from 1 to the session's capacity. There is no default: it is 0.
     */
    uint64_t haystack_len;
    /**
     * The buffer that gets vkscan_hits_bytes(max_matches) bytes, made with VK_BUFFER_USAGE_STORAGE_BUFFER_BIT. There
     * is no default: it is null.
     */
    vkscan_raw_buffer hits;
    /**
     * Where they begin in it, in bytes: a multiple of `storage_buffer_alignment` of vkscan_device_info; by default 0.
     */
    uint64_t hits_offset;
    /**
     * The buffer of a word of 32 bits that tells the haystack's length, `haystack_len` at most, when the scan is
     * executed, made with VK_BUFFER_USAGE_TRANSFER_SRC_BIT. All zero, the default, if there is none.
     */
    vkscan_raw_buffer length;
    /**
     * Where the word is in it, in bytes: a multiple of 4; by default 0.
     */
    uint64_t length_offset;
} vkscan_record_options;

/**
 * One half of a barrier.
 */
typedef struct {
    /**
     * VkPipelineStageFlags.
     */
    uint32_t stages;
    /**
     * VkAccessFlags.
     */
    uint32_t access;
} vkscan_raw_scope;

/**
 * One match of one pattern: the bytes from `start` to before `end`. It is never empty.
 */
typedef struct {
    /**
     * The pattern's index in the array that the rules were compiled from.
     */
    uint32_t pattern_id;
    /**
     * Offset of the first byte.
     */
    uint32_t start;
    /**
     * Offset after the last byte.
     */
    uint32_t end;
} vkscan_match;

/**
 * What a ring session is made for.
 */
typedef struct {
    /**
     * sizeof(vkscan_ring_options).
     */
    uint32_t struct_size;
    /**
     * Items that may be in flight, of all tenants together: from 1 to 2^20, rounded up to a multiple of
     * `workgroup_size_x`; by default 256.
     */
    uint32_t slot_count;
    /**
     * Invocations of a workgroup that claims slots: from 1 to 2^20; by default 256.
     */
    uint32_t workgroup_size_x;
    /**
     * Tenants, each of which has an even share of the slots for itself: from 1 to 64, as far as there are so many
     * slots; by default 1.
     */
    uint32_t tenant_count;
    /**
     * How many of the counters of vkscan_ring_counter can be read, the first ones first: from 0, the default, to 4.
     */
    uint32_t observable_slots;
    /**
     * Rounds of each tenant that may be in flight: from 1 to 256; by default 4. What is published together is a round.
     */
    uint32_t rounds_in_flight;
    /**
     * Most matches of an item of the first tenant; by default 65536.
     */
    uint32_t max_matches;
    /**
     * 0.
     */
    uint32_t reserved;
    /**
     * Bytes of a tenant's items in one round, with up to 4 behind each, and so of the largest item: from 16 to
     * VKSCAN_MAX_HAYSTACK_BYTES; by default 16 MiB. Each round in flight takes device memory and staging memory of
     * that size.
     */
    size_t round_bytes;
} vkscan_ring_options;

/**
 * A small haystack: its matches are exactly those that a scan of its bytes alone has. It is in `len` bytes at `bytes`,
 * or else in so many of `resident`, from `offset` on, which are copied on the device. What is not needed is zero, as
 * in `vkscan_ring_item item = {.id = 7, .bytes = bytes, .len = len};`.
 */
typedef struct {
    /**
     * The caller's own; it comes back with the result.
     */
    uint64_t id;
    /**
     * Whose rules it is scanned with, from 0.
     */
    uint32_t tenant;
    /**
     * Most matches of this item, if that is fewer than its tenant's; 0 for as many as its tenant may have.
     */
    uint32_t max_matches;
    /**
     * In memory of the caller's.
     */
    const uint8_t *bytes;
    /**
     * Bytes. They fit a round: 1 to 4 fewer than `round_bytes` of vkscan_ring_options.
     */
    size_t len;
    /**
     * On the device of the ring (vkscan_ring_backend). A buffer of the caller's that it was made from outlives the
     * ticket's being waited for, or, where that is freed instead, the next vkscan_ring_flush.
     */
    const vkscan_resident_haystack *resident;
    /**
     * Where the item begins in that, in bytes.
     */
    size_t offset;
} vkscan_ring_item;

/**
 * What has come of one item.
 */
typedef struct {
    /**
     * sizeof(vkscan_ring_result).
     */
    uint32_t struct_size;
    /**
     * A vkscan_status: VKSCAN_STATUS_OK, or why the item has no matches to show. Those of the others stand.
     * - VKSCAN_STATUS_TOO_MANY_MATCHES: there are more than the item or its tenant may have.
     * - VKSCAN_STATUS_HAYSTACK_TOO_LARGE: it does not fit a round.
     * - VKSCAN_STATUS_NO_RULES: its tenant has none.
     * - VKSCAN_STATUS_INVALID_ARGUMENT: it does not lie in its haystack on the device.
     * - VKSCAN_STATUS_WRONG_BACKEND: that is on another device than the ring.
     * - VKSCAN_STATUS_ITEM_FAULTED: the device has not looked at it. Publish it again.
     */
    int32_t status;
    /**
     * What the caller gave as `id`.
     */
    uint64_t id;
    /**
     * The same as a text; NULL if nothing is wrong. It is valid until the ticket is freed.
     */
    const char *message;
    /**
     * `match_count` matches, sorted, whose offsets count from the item's first byte; NULL if there are none. They are
     * valid until the ticket is freed.
     */
    const vkscan_match *matches;
    /**
     * Their number.
     */
    size_t match_count;
    /**
     * The same, or how many were counted where they are too many.
     */
    uint64_t found;
    /**
     * 1 if the rest of the item was not counted then, or else 0.
     */
    uint32_t at_least;
    /**
     * 0.
     */
    uint32_t reserved;
} vkscan_ring_result;

/**
 * What it took to scan items; times are in nanoseconds.
 */
typedef struct {
    /**
     * sizeof(vkscan_ring_stats).
     */
    uint32_t struct_size;
    /**
     * Rounds that were published.
     */
    uint32_t rounds;
    /**
     * 1 if the device was lost meanwhile, and the items scanned on another, or else 0.
     */
    uint32_t recovered;
    /**
     * 0.
     */
    uint32_t reserved;
    /**
     * Packing items and writing their slots.
     */
    uint64_t packing_ns;
    /**
     * Dividing matches among their items.
     */
    uint64_t decoding_ns;
} vkscan_ring_stats;

/**
 * What a scan moved and how long it took; times are in nanoseconds.
 */
typedef struct {
    /**
     * sizeof(vkscan_scan_stats).
     */
    uint32_t struct_size;
    /**
     * Ranges uploaded: two for a scan, one where the haystack was on the device; more where it was done in parts.
     */
    uint32_t uploads;
    /**
     * Submissions that were waited for.
     */
    uint32_t submissions;
    /**
     * Rounds of kernels that had work to do.
     */
    uint32_t rounds;
    /**
     * Bytes uploaded: the haystack, padded to a word, unless it was on the device, and a counter of 4 bytes.
     */
    uint64_t bytes_up;
    /**
     * Bytes read back: a header of 28 bytes for each submission, and 12 for each match.
     */
    uint64_t bytes_down;
    /**
     * From the call to its return; of a ticket, without the time between the two calls.
     */
    uint64_t wall_ns;
    /**
     * Of that, copying the haystack to staging memory, recording and submitting.
     */
    uint64_t enqueue_ns;
    /**
     * Of that, waiting for the device.
     */
    uint64_t wait_ns;
    /**
     * On the device, staging memory to device memory. This and the following are VKSCAN_UNKNOWN where the device's
     * queue has no timestamps.
     */
    uint64_t upload_ns;
    /**
     * On the device, every byte's gram against those of the rules.
     */
    uint64_t prefilter_ns;
    /**
     * On the device, suffixes and prefixes of candidates.
     */
    uint64_t confirm_ns;
    /**
     * On the device, candidate starts on partial DFAs.
     */
    uint64_t verify_dfa_ns;
    /**
     * On the device, position NFAs.
     */
    uint64_t verify_nfa_ns;
    /**
     * On the device, matches selected from hits, and written to host memory.
     */
    uint64_t select_ns;
} vkscan_scan_stats;

/**
 * How patterns are read and compiled. What is yes or no is 1 or 0, and 0 by default.
 */
typedef struct {
    /**
     * sizeof(vkscan_pipeline_options).
     */
    uint32_t struct_size;
    /**
     * A vkscan_match_kind; by default VKSCAN_MATCH_KIND_LEFTMOST_FIRST.
     */
    uint32_t match_kind;
    /**
     * A vkscan_unicode_policy; by default VKSCAN_UNICODE_POLICY_WHEN_NEEDED.
     */
    uint32_t unicode;
    /**
     * `(?i)` for every pattern.
     */
    uint8_t case_insensitive;
    /**
     * `(?m)` for every pattern.
     */
    uint8_t multi_line;
    /**
     * `(?s)` for every pattern.
     */
    uint8_t dot_matches_new_line;
    /**
     * `(?R)` for every pattern.
     */
    uint8_t crlf;
    /**
     * `(?x)` for every pattern.
     */
    uint8_t ignore_whitespace;
    /**
     * `(?U)` for every pattern.
     */
    uint8_t swap_greed;
    /**
     * What ends a line for `(?m:^)`, `(?m:$)` and `.`; by default '\n'.
     */
    uint8_t line_terminator;
    /**
     * 0.
     */
    uint8_t reserved;
    /**
     * Most bytes that the NFA of one pattern may take; by default 10 MiB.
     */
    size_t size_limit;
    /**
     * Most bytes of DFA table that a rule may take; by default 32 KiB. What candidates are walked on may take eight
     * times as much. Less is never wrong, and slower to scan.
     */
    size_t dfa_budget;
} vkscan_pipeline_options;

/**
 * A pattern: a regular expression in the syntax of the `regex` crate.
 */
typedef struct {
    /**
     * Its text, in UTF-8. It needs no zero byte at its end.
     */
    const char *text;
    /**
     * Bytes.
     */
    size_t len;
} vkscan_pattern;

/**
 * A haystack, wherever it is: in what is not NULL of the three handles; or else in `len` bytes at `bytes`. All that is
 * not needed is zero, as in `vkscan_haystack haystack = {.struct_size = sizeof haystack, .resident = resident};`.
 */
typedef struct {
    /**
     * sizeof(vkscan_haystack).
     */
    uint32_t struct_size;
    /**
     * 0.
     */
    uint32_t reserved;
    /**
     * In memory of the caller's.
     */
    const uint8_t *bytes;
    /**
     * Bytes there.
     */
    size_t len;
    /**
     * In staging memory.
     */
    const vkscan_staged_haystack *staged;
    /**
     * On the device.
     */
    const vkscan_resident_haystack *resident;
    /**
     * In memory of the caller's that the device copies from by itself.
     */
    const vkscan_imported_haystack *imported;
} vkscan_haystack;

/**
 * Reads up to `capacity` bytes into `buffer`, and returns how many; 0 at the stream's end, or VKSCAN_READ_FAILED or
 * VKSCAN_READ_NOTHING_YET.
 */
typedef ptrdiff_t (*vkscan_read_fn)(void *user_data, uint8_t *buffer, size_t capacity);

/**
 * A match in a stream: `end - start` bytes, at offsets that count from where the stream began.
 */
typedef struct {
    /**
     * The pattern's index in the array that the rules were compiled from.
     */
    uint32_t pattern_id;
    /**
     * Offset of the first byte.
     */
    uint64_t start;
    /**
     * Offset after the last byte.
     */
    uint64_t end;
} vkscan_stream_match;

/**
 * Is told a match, and its bytes. Both are valid until it returns.
 */
typedef void (*vkscan_match_fn)(void *user_data, const vkscan_stream_match *found, const uint8_t *bytes);

/**
 * A VkSemaphore, and what it is to reach. Handed over, it promises:
 * - It is a semaphore of the backend's device, and outlives that use.
 * - A timeline semaphore that is waited for will reach the value; one that is signalled has reached less, and is
 *   signalled with less before.
 * - What signals a binary semaphore that is waited for has been submitted; one that is signalled is not signalled
 *   then.
 */
typedef struct {
    /**
     * The VkSemaphore.
     */
    uint64_t semaphore;
    /**
     * The value of a timeline semaphore; 0 for a binary one.
     */
    uint64_t value;
} vkscan_raw_semaphore;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Number of the library's binary interface, to be compared with VKSCAN_ABI_VERSION.
 */
uint32_t vkscan_abi_version(void);

/**
 * The library's version, such as "0.1.0". It is never freed.
 */
const char *vkscan_version(void);

/**
 * Fills in defaults. `size` is sizeof(vkscan_backend_options).
 */
vkscan_status vkscan_backend_options_init(vkscan_backend_options *options, size_t size);

/**
 * Lists all devices, usable or not, in the loader's order. `options` says which would be picked; NULL stands for the
 * defaults. The list is freed with vkscan_device_list_free.
 *
 * It fails with VKSCAN_STATUS_LOADER_MISSING, VKSCAN_STATUS_LOADER_FAILED, VKSCAN_STATUS_NO_DEVICE,
 * VKSCAN_STATUS_VALIDATION_MISSING or VKSCAN_STATUS_INVALID_UTF8. A selector that fits nothing is no error here.
 */
vkscan_status vkscan_devices(const vkscan_backend_options *options,
                             vkscan_device_list **list);

/**
 * Number of devices in a list; 0 if it is NULL.
 */
size_t vkscan_device_list_count(const vkscan_device_list *list);

/**
 * Tells of the device at `index` of a list, from 0. Its texts are valid until the list is freed.
 */
vkscan_status vkscan_device_list_get(const vkscan_device_list *list, size_t index, vkscan_device_info *info);

/**
 * Frees a list, and the texts that were asked of it.
 */
void vkscan_device_list_free(vkscan_device_list *list);

/**
 * Opens the device that the options select; NULL stands for the defaults. It is freed with vkscan_backend_free.
 *
 * It fails as vkscan_devices does, with VKSCAN_STATUS_DEVICE_NOT_FOUND where the selector fits nothing, and with
 * VKSCAN_STATUS_UNSUPPORTED_DEVICE where what it fits cannot run vkscan.
 */
vkscan_status vkscan_backend_open(const vkscan_backend_options *options,
                                  vkscan_backend **backend);

/**
 * Opens the same physical device anew, with the same options, after it was lost: what was made from the lost one stays
 * lost.
 *
 * It fails as vkscan_backend_open does, and with VKSCAN_STATUS_CALLERS_DEVICE where the device is the caller's.
 */
vkscan_status vkscan_backend_reopen(const vkscan_backend *backend,
                                    vkscan_backend **anew);

/**
 * Writes what the driver has made of kernels so far to the options' `pipeline_cache`, unless the file has it already.
 *
 * It fails with VKSCAN_STATUS_PIPELINE_CACHE if no file was named or it cannot be written, and with
 * VKSCAN_STATUS_CALLERS_DEVICE where the device is the caller's.
 */
vkscan_status vkscan_backend_save_pipeline_cache(const vkscan_backend *backend);

/**
 * Frees a backend. Sessions, tickets and haystacks that were made from it go on working: the device is closed with the
 * last of them.
 */
void vkscan_backend_free(vkscan_backend *backend);

/**
 * Tells of the open device. Its texts are valid until the backend is freed, and its budget is that of when it was
 * opened.
 */
vkscan_status vkscan_backend_device_info(const vkscan_backend *backend,
                                         vkscan_device_info *info);

/**
 * Whether the device has been lost. It stays so. Of NULL it is not.
 */
bool vkscan_backend_is_lost(const vkscan_backend *backend);

/**
 * Bytes of all buffers that sessions and haystacks on the device hold at the moment; 0 for NULL.
 */
uint64_t vkscan_backend_allocated_bytes(const vkscan_backend *backend);

/**
 * What the device still holds of sessions, haystacks and scans that were freed while it was at them: bytes of buffers,
 * and objects. They are given back by any later call, once it has answered.
 */
vkscan_status vkscan_backend_held_back(const vkscan_backend *backend,
                                       uint64_t *bytes,
                                       size_t *objects);

/**
 * Begins to capture all that happens on the device, by whomever, for RenderDoc to show. The file will be in
 * `directory`, which is made if it is not there. The capture ends with vkscan_capture_end, and is freed with
 * vkscan_capture_free. docs/PROFILING.md says how RenderDoc is attached.
 *
 * It fails with VKSCAN_STATUS_RENDER_DOC_MISSING where RenderDoc is not in the process, or does not know the device;
 * with VKSCAN_STATUS_CAPTURE_FAILED while another capture is under way in the process, or where the directory cannot be
 * made; and with VKSCAN_STATUS_INVALID_UTF8.
 */
vkscan_status vkscan_backend_capture(const vkscan_backend *backend,
                                     const char *directory,
                                     vkscan_capture **capture);

/**
 * Ends a capture. `path` gets where its file is, valid until the capture is freed.
 *
 * It fails with VKSCAN_STATUS_CAPTURE_FAILED where nothing was submitted to the device meanwhile, or RenderDoc could not
 * write the file, and with VKSCAN_STATUS_INVALID_ARGUMENT where it has ended before. There is no file then. It fails with
 * VKSCAN_STATUS_INVALID_UTF8 where the path cannot be told.
 */
vkscan_status vkscan_capture_end(const vkscan_capture *capture,
                                 const char **path);

/**
 * Frees a capture. One that has not ended is discarded.
 */
void vkscan_capture_free(vkscan_capture *capture);

/**
 * Makes a buffer of `bytes` bytes, rounded up to whole 16 ones, whose memory others can import. `handle` is a
 * vkscan_memory_handle. What it holds is undefined. It is freed with vkscan_external_buffer_free.
 *
 * It fails with VKSCAN_STATUS_UNSUPPORTED for a device that does not export memory so, or one of the caller's that was
 * made without the extension; with VKSCAN_STATUS_INVALID_HANDLE for no bytes; and with VKSCAN_STATUS_LIMIT_EXCEEDED
 * for more than one allocation or the backend's limit has.
 */
vkscan_status vkscan_external_buffer_new(const vkscan_backend *backend,
                                         uint32_t handle,
                                         uint64_t bytes,
                                         vkscan_external_buffer **buffer);

/**
 * Makes a buffer of memory that others have exported, which stays as it is. The file descriptor is vkscan's if this
 * succeeds, and stays the caller's if it fails. The buffer is freed with vkscan_external_buffer_free.
 *
 * The file descriptor is what `memory` says it is, of memory that was not allocated for one resource alone
 * (VkMemoryDedicatedAllocateInfo). What an opaque one stands for was allocated on a device with the same `uuid` and
 * `driver_uuid` of vkscan_device_info, with that size, and by Vulkan of that memory type.
 *
 * It fails with VKSCAN_STATUS_UNSUPPORTED for a device that does not import memory so, or one of the caller's that was
 * made without the extension; and with VKSCAN_STATUS_INVALID_HANDLE for a part of no bytes, one that the memory does
 * not have, an offset that buffers cannot begin at, a memory type that they cannot be in, what is no open file
 * descriptor, or what the driver does not know as such memory.
 */
vkscan_status vkscan_external_buffer_import(const vkscan_backend *backend,
                                            int32_t fd,
                                            const vkscan_external_memory *memory,
                                            vkscan_external_buffer **buffer);

/**
 * Makes a file descriptor for the memory, which the caller closes or hands on, for others to import with what
 * vkscan_external_buffer_memory says. The memory lives as long as anybody has it.
 *
 * It fails with VKSCAN_STATUS_INVALID_HANDLE for a buffer whose memory was imported.
 */
vkscan_status vkscan_external_buffer_export(const vkscan_external_buffer *buffer, int32_t *fd);

/**
 * Tells what whoever imports the memory has to know, beside `uuid` and `driver_uuid` of vkscan_device_info.
 */
vkscan_status vkscan_external_buffer_memory(const vkscan_external_buffer *buffer,
                                            vkscan_external_memory *memory);

/**
 * Tells the VkBuffer, its size and its usage, which is that of a storage buffer and of transfers both ways: for
 * commands of the program's, and for recordings. It goes with the last of the external buffer and the haystacks in it.
 */
vkscan_status vkscan_external_buffer_raw(const vkscan_external_buffer *buffer,
                                         vkscan_raw_buffer *raw);

/**
 * Frees a buffer. Its memory goes with the last of the haystacks in it, and with the last of those who share it.
 */
void vkscan_external_buffer_free(vkscan_external_buffer *buffer);

/**
 * Makes a haystack of `len` bytes in memory that others share, from `offset` on, to be scanned where it lies. The
 * buffer has the bytes rounded up to whole 16 ones. They have to be written before they are scanned, and to stay as
 * they are meanwhile, as for vkscan_resident_haystack_from_raw. It is freed with vkscan_resident_haystack_free.
 *
 * It fails with VKSCAN_STATUS_INVALID_HANDLE for a buffer that does not have the bytes, or an offset that is no
 * multiple of `storage_buffer_alignment` of vkscan_device_info; and with VKSCAN_STATUS_HAYSTACK_TOO_LARGE for more than
 * VKSCAN_MAX_HAYSTACK_BYTES.
 */
vkscan_status vkscan_resident_haystack_from_external(const vkscan_external_buffer *buffer,
                                                     uint64_t offset,
                                                     size_t len,
                                                     vkscan_resident_haystack **resident);

/**
 * Makes a semaphore that others can import. `handle` is a vkscan_semaphore_handle. It is freed with
 * vkscan_external_semaphore_free.
 *
 * It fails with VKSCAN_STATUS_UNSUPPORTED for a device that does not export such semaphores, or one of the caller's
 * that was made without the extension.
 */
vkscan_status vkscan_external_semaphore_new(const vkscan_backend *backend,
                                            uint32_t handle,
                                            vkscan_external_semaphore **semaphore);

/**
 * Makes a semaphore of one that others have exported. The file descriptor is vkscan's if this succeeds, and stays the
 * caller's if it fails. A VKSCAN_SEMAPHORE_HANDLE_SYNC_FD can be waited for once: it stands for one signal. The
 * semaphore is freed with vkscan_external_semaphore_free.
 *
 * The file descriptor is what `handle`, a vkscan_semaphore_handle, says it is, and an opaque one was exported on a
 * device with the same `uuid` and `driver_uuid` of vkscan_device_info.
 *
 * It fails with VKSCAN_STATUS_UNSUPPORTED for a device that does not import such semaphores, or one of the caller's
 * that was made without the extension; and with VKSCAN_STATUS_INVALID_HANDLE for what is no open file descriptor, or
 * what the driver does not know as such a semaphore.
 */
vkscan_status vkscan_external_semaphore_import(const vkscan_backend *backend,
                                               uint32_t handle,
                                               int32_t fd,
                                               vkscan_external_semaphore **semaphore);

/**
 * Makes a file descriptor for others to import, which the caller closes or hands on. It is -1 for a
 * VKSCAN_SEMAPHORE_HANDLE_SYNC_FD that is signalled already.
 *
 * That of a VKSCAN_SEMAPHORE_HANDLE_SYNC_FD is for the signal that was submitted last, and takes it from the semaphore,
 * as waiting for it does: one has been submitted, and nothing that waits for it. A scan's signals are submitted when its
 * ticket has been waited for or freed.
 *
 * It fails with VKSCAN_STATUS_INVALID_HANDLE for a semaphore that was imported.
 */
vkscan_status vkscan_external_semaphore_export(const vkscan_external_semaphore *semaphore,
                                               int32_t *fd);

/**
 * The VkSemaphore, for vkscan_raw_semaphore; 0 for NULL. It goes with the external one, which is freed once nothing
 * uses it any more.
 */
uint64_t vkscan_external_semaphore_raw(const vkscan_external_semaphore *semaphore);

/**
 * Frees a semaphore, which nothing that was submitted uses any more.
 */
void vkscan_external_semaphore_free(vkscan_external_semaphore *semaphore);

/**
 * Lends staging memory for a haystack of `len` bytes, which hold anything at first. It goes back with
 * vkscan_staged_haystack_free, and is kept to be lent again; vkscan_session_trim frees what is not lent.
 *
 * It fails with VKSCAN_STATUS_HAYSTACK_TOO_LARGE for more bytes than the session's capacity.
 */
vkscan_status vkscan_session_staging(const vkscan_session *session,
                                     size_t len,
                                     vkscan_staged_haystack **staged);

/**
 * Gives the memory, to be written to until it is scanned or freed; after a scan it is asked for again. Reading it back
 * is slow on many devices. Of no bytes there may be no address that means anything.
 *
 * It fails with VKSCAN_STATUS_BUSY while it is scanned, which is until a ticket for it has been waited for or freed.
 */
vkscan_status vkscan_staged_haystack_data(const vkscan_staged_haystack *staged,
                                          uint8_t **data);

/**
 * Bytes that a scan of it looks at; 0 for NULL.
 */
size_t vkscan_staged_haystack_len(const vkscan_staged_haystack *staged);

/**
 * Makes it shorter, for good: what is behind `len` is not scanned. Where it is shorter already, it stays as it is.
 *
 * It fails with VKSCAN_STATUS_BUSY while it is scanned.
 */
vkscan_status vkscan_staged_haystack_truncate(const vkscan_staged_haystack *staged,
                                              size_t len);

/**
 * Gives staging memory back to its session. Where a ticket still scans it, it goes back with that.
 */
void vkscan_staged_haystack_free(vkscan_staged_haystack *staged);

/**
 * Moves a haystack to the device. `haystack` is not needed any more then. It is freed with
 * vkscan_resident_haystack_free.
 *
 * It fails with VKSCAN_STATUS_HAYSTACK_TOO_LARGE for more than VKSCAN_MAX_HAYSTACK_BYTES.
 */
vkscan_status vkscan_resident_haystack_new(const vkscan_backend *backend,
                                           const uint8_t *haystack,
                                           size_t len,
                                           vkscan_resident_haystack **resident);

/**
 * Makes a haystack of `len` bytes in a buffer of the caller's, from `offset` on, to be scanned where it lies. The
 * buffer has the bytes rounded up to whole 16 ones. The caller sees to it that what it holds has been written, as by
 * the semaphores of vkscan_submit_haystack, that it stays as it is while it is scanned, and that it outlives the
 * haystack and all tickets for it. It is freed with vkscan_resident_haystack_free.
 *
 * It fails with VKSCAN_STATUS_INVALID_HANDLE for a null buffer, one that was made without
 * VK_BUFFER_USAGE_STORAGE_BUFFER_BIT or VK_BUFFER_USAGE_TRANSFER_SRC_BIT, one that does not have the bytes, or an
 * offset that is no multiple of `storage_buffer_alignment` of vkscan_device_info; and with
 * VKSCAN_STATUS_HAYSTACK_TOO_LARGE for more than VKSCAN_MAX_HAYSTACK_BYTES.
 */
vkscan_status vkscan_resident_haystack_from_raw(const vkscan_backend *backend,
                                                const vkscan_raw_buffer *buffer,
                                                uint64_t offset,
                                                size_t len,
                                                vkscan_resident_haystack **resident);

/**
 * Bytes; 0 for NULL.
 */
size_t vkscan_resident_haystack_len(const vkscan_resident_haystack *resident);

/**
 * Frees a haystack on the device. Where a ticket still scans it, it goes with that.
 */
void vkscan_resident_haystack_free(vkscan_resident_haystack *resident);

/**
 * Imports `len` bytes at `haystack`, at whatever address. That takes a while, for their pages are pinned, and pays for
 * memory that is scanned more than once, or is large, such as a file mapping. The bytes stay where and as they are
 * until `release` is called with `user_data`, which is called exactly once, also where this fails, and then as a rule
 * before this returns. Only if the device has not answered by the time that nothing else of vkscan's is left on it, it
 * is never called, for the device may read then what it likes. The haystack is freed with
 * vkscan_imported_haystack_free.
 *
 * It fails with VKSCAN_STATUS_UNSUPPORTED for a device without VK_EXT_external_memory_host, or one of the caller's
 * that was made without; with VKSCAN_STATUS_INVALID_HANDLE where the driver does not take this memory; and with
 * VKSCAN_STATUS_HAYSTACK_TOO_LARGE for more than VKSCAN_MAX_HAYSTACK_BYTES, or VKSCAN_STATUS_LIMIT_EXCEEDED for more
 * than the device imports at once. `release` must not be NULL: then it fails, and nothing is called.
 */
vkscan_status vkscan_imported_haystack_new(const vkscan_backend *backend,
                                           const uint8_t *haystack,
                                           size_t len,
                                           vkscan_release_fn release,
                                           void *user_data,
                                           vkscan_imported_haystack **imported);

/**
 * Bytes; 0 for NULL.
 */
size_t vkscan_imported_haystack_len(const vkscan_imported_haystack *imported);

/**
 * Frees an imported haystack. Its memory is released when no ticket scans it any more and the device is done with it.
 */
void vkscan_imported_haystack_free(vkscan_imported_haystack *imported);

/**
 * Tells what memory the device has at the moment, and what of it sessions and haystacks have. The report is freed with
 * vkscan_memory_report_free.
 */
vkscan_status vkscan_backend_memory_report(const vkscan_backend *backend,
                                           vkscan_memory_report **report);

/**
 * Number of uses in a report; 0 for NULL.
 */
size_t vkscan_memory_report_use_count(const vkscan_memory_report *report);

/**
 * Tells of the use at `index` of a report, from 0.
 */
vkscan_status vkscan_memory_report_use(const vkscan_memory_report *report,
                                       size_t index,
                                       vkscan_memory_use *one);

/**
 * Number of the device's heaps; 0 for NULL.
 */
size_t vkscan_memory_report_heap_count(const vkscan_memory_report *report);

/**
 * Tells of the heap at `index`, from 0.
 */
vkscan_status vkscan_memory_report_heap(const vkscan_memory_report *report,
                                        size_t index,
                                        vkscan_memory_heap *heap);

/**
 * Bytes of the blocks that buffers lie in, with what is free of them; VKSCAN_UNKNOWN where memory comes from the
 * caller's allocator, and for NULL.
 */
uint64_t vkscan_memory_report_block_bytes(const vkscan_memory_report *report);

/**
 * Frees a report, and the texts that were asked of it.
 */
void vkscan_memory_report_free(vkscan_memory_report *report);

/**
 * Works out a session for the device at `index` of `list`, from 0: nothing is opened or made there. The plan is freed
 * with vkscan_session_plan_free, and needs neither rules nor list any more.
 *
 * It fails as vkscan_session_prepare does where a limit is at fault.
 */
vkscan_status vkscan_session_plan_new(const vkscan_device_list *list,
                                      size_t index,
                                      const vkscan_rules *rules,
                                      const vkscan_session_options *options,
                                      vkscan_session_plan **plan);

/**
 * As vkscan_session_plan_new, for the device of a backend.
 */
vkscan_status vkscan_session_plan_for_backend(const vkscan_backend *backend,
                                              const vkscan_rules *rules,
                                              const vkscan_session_options *options,
                                              vkscan_session_plan **plan);

/**
 * Bytes of all buffers that the session will have: what vkscan_backend_allocated_bytes says then, if nothing else is
 * there; 0 for NULL.
 */
uint64_t vkscan_session_plan_bytes(const vkscan_session_plan *plan);

/**
 * Number of purposes that the session will have buffers for; 0 for NULL.
 */
size_t vkscan_session_plan_memory_count(const vkscan_session_plan *plan);

/**
 * Tells of the buffers for the purpose at `index`, from 0.
 */
vkscan_status vkscan_session_plan_memory(const vkscan_session_plan *plan,
                                         size_t index,
                                         vkscan_planned_memory *one);

/**
 * Makes the session that was planned, as vkscan_session_prepare does.
 *
 * It fails as that does, and with VKSCAN_STATUS_WRONG_BACKEND where the backend's device or driver is another one than
 * was planned for.
 */
vkscan_status vkscan_session_plan_prepare(const vkscan_session_plan *plan,
                                          const vkscan_backend *backend,
                                          vkscan_session **session);

/**
 * Frees a plan, and the texts that were asked of it. Sessions that were made of it go on working.
 */
void vkscan_session_plan_free(vkscan_session_plan *plan);

/**
 * Fills in defaults, and zeros for what there is none for. `size` is sizeof(vkscan_raw_device).
 */
vkscan_status vkscan_raw_device_init(vkscan_raw_device *raw, size_t size);

/**
 * Uses a device that the caller made and goes on owning. Nothing of the caller's is destroyed, and validation is as
 * the caller set it up. The backend is freed with vkscan_backend_free. The caller sees to all of this:
 * - All handles are valid, belong together, and outlive the backend and everything made from it, which is until
 *   `on_drop` is called.
 * - The device was made with the queues, features and extensions that `raw` names, the queues without
 *   VK_DEVICE_QUEUE_CREATE_PROTECTED_BIT; and the instance with the extensions.
 * - While a queue is used by anyone else, the lock is held, by vkDeviceWaitIdle, too; so is it by other backends on
 *   the same queue.
 * - The pipeline cache was made without VK_PIPELINE_CACHE_CREATE_EXTERNALLY_SYNCHRONIZED_BIT.
 * - Functions may be called by any thread until `on_drop` is called. They return, and call no function of vkscan's.
 *
 * It fails with VKSCAN_STATUS_INVALID_HANDLE for a null handle, an instance made for less than Vulkan 1.2, a device
 * made without what is needed, or a queue that is not there or cannot do what it is for; and with
 * VKSCAN_STATUS_UNSUPPORTED_DEVICE.
 */
vkscan_status vkscan_backend_from_raw(const vkscan_raw_device *raw,
                                      vkscan_backend **backend);

/**
 * Gives the raw handles of instance and device, whoever made them.
 */
vkscan_status vkscan_backend_raw_handles(const vkscan_backend *backend, vkscan_raw_handles *handles);

/**
 * Tells what a device has to be made with for vkscan_backend_from_raw, and what it may be made with besides.
 * `get_instance_proc_addr` is vkGetInstanceProcAddr of the loader that made the VkInstance `instance`, and
 * `physical_device` one of its VkPhysicalDevices. What is told is freed with vkscan_required_features_free.
 *
 * It fails with VKSCAN_STATUS_INVALID_HANDLE for a null handle, a device that is not of the instance, or an instance
 * made for less than Vulkan 1.2; and with VKSCAN_STATUS_UNSUPPORTED_DEVICE.
 */
vkscan_status vkscan_backend_required_features(const void *get_instance_proc_addr,
                                               void *instance,
                                               void *physical_device,
                                               vkscan_required_features **required);

/**
 * Gives the version of Vulkan that the instance has to be made for, at least; what the device has to be made with; and
 * what else is of use, all of which is there. Names are valid until `required` is freed.
 */
vkscan_status vkscan_required_features_get(const vkscan_required_features *required,
                                           uint32_t *api_version_major,
                                           uint32_t *api_version_minor,
                                           vkscan_features *needed,
                                           vkscan_features *optional);

/**
 * Frees what was told, and its names.
 */
void vkscan_required_features_free(vkscan_required_features *required);

/**
 * Fills in defaults. `size` is sizeof(vkscan_recording_options).
 */
vkscan_status vkscan_recording_options_init(vkscan_recording_options *options, size_t size);

/**
 * Fills in defaults, and zeros for what there is none for. `size` is sizeof(vkscan_record_options).
 */
vkscan_status vkscan_record_options_init(vkscan_record_options *options, size_t size);

/**
 * Makes what scans are recorded with; NULL stands for the default options. Kernels that others submit are compiled
 * when a session's first one is made. It is freed with vkscan_recording_free.
 *
 * It fails with VKSCAN_STATUS_INVALID_HANDLE for no recordings, or a session without rules; and with
 * VKSCAN_STATUS_HAYSTACK_TOO_LARGE for more bytes to copy than the session's capacity.
 */
vkscan_status vkscan_session_recording(const vkscan_session *session,
                                       const vkscan_recording_options *options,
                                       vkscan_recording **recording);

/**
 * Records a scan into `commands`. Nothing is submitted, allocated on the device or waited for. The same commands can
 * be executed any number of times, one after the other, and each time scan what is there then. They change what is
 * bound as compute pipeline, descriptor set 0 and push constants; they begin with transfers and kernels, and end with
 * a kernel. `scan`, which may be NULL, gets a number for vkscan_recording_continue. The caller sees to all of this:
 * - `commands` is a VkCommandBuffer of the backend's device, in the recording state, outside of a render pass. Its
 *   pool is for the family of the backend's compute queue, and nobody else uses it or its pool meanwhile.
 * - What is recorded is executed only while the recording is there, on the backend's compute queue, and never two of
 *   the same recording's at once: not with VK_COMMAND_BUFFER_USAGE_SIMULTANEOUS_USE_BIT.
 * - The haystack and its length stay as they are while it is executed.
 *
 * It fails with VKSCAN_STATUS_INVALID_HANDLE for a null handle, a buffer that was made without what it is for, a range
 * outside of its buffer, an offset that is not aligned, a haystack of no bytes, or no rounds; with
 * VKSCAN_STATUS_HAYSTACK_TOO_LARGE; and with VKSCAN_STATUS_LIMIT_EXCEEDED where as many scans are recorded as there
 * can be, or where a haystack that has to be copied first has more than `copied_bytes` of vkscan_recording_options.
 */
vkscan_status vkscan_recording_record(const vkscan_recording *recording,
                                      void *commands,
                                      const vkscan_record_options *options,
                                      uint64_t *scan);

/**
 * Records how a scan goes on that has run and left VKSCAN_RECORDED_STATE_GOES_ON, for so many rounds, at least 1, with
 * barriers before and behind. A scan that is complete stays so. If another one of the same recording has run since,
 * its state becomes VKSCAN_RECORDED_STATE_NEEDS_HOST. Of `commands` the same is asked as by vkscan_recording_record.
 *
 * It fails with VKSCAN_STATUS_INVALID_HANDLE for a null command buffer, no rounds, or a scan that was not recorded
 * since the recording was made or cleared.
 */
vkscan_status vkscan_recording_continue(const vkscan_recording *recording,
                                        void *commands,
                                        uint64_t scan,
                                        uint32_t rounds);

/**
 * Lets go of all that was recorded, so that as much can be recorded again. It is not executed any more: command
 * buffers that have it are reset before something else is recorded.
 */
vkscan_status vkscan_recording_clear(const vkscan_recording *recording);

/**
 * Tells what barriers of the caller's have to be made of around a scan that is recorded without. The one before it has
 * `before` as its second half, for the haystack, its length and the hits; the one behind it has `behind` as its first
 * half, for all of them.
 */
vkscan_status vkscan_recording_required_barriers(const vkscan_recording *recording,
                                                 vkscan_raw_scope *before,
                                                 vkscan_raw_scope *behind);

/**
 * Frees a recording. What was recorded with it has been executed, and is not executed any more.
 */
void vkscan_recording_free(vkscan_recording *recording);

/**
 * Bytes that a recording writes for up to `max_matches` matches, in words of 32 bits: a counter, which is 0 unless the
 * scan is complete; that many times a pattern and where its match starts and ends; a vkscan_recorded_state; and for
 * VKSCAN_RECORDED_STATE_TOO_MANY the number of matches, for VKSCAN_RECORDED_STATE_TOO_LONG the length.
 */
uint64_t vkscan_hits_bytes(uint32_t max_matches);

/**
 * Reads `word_count` words that a recording with room for `max_matches` matches has written. `state` gets what it has
 * come to, and `detail`, which may be NULL, the last word where that state says something by it, or else 0. Matches
 * come as from vkscan_scan_haystack; there are none unless the scan is complete. With fewer words than
 * vkscan_hits_bytes(max_matches) / 4 it has not run.
 *
 * It fails with VKSCAN_STATUS_BUFFER_TOO_SMALL where there are more than `capacity`; `count` says how many then, and
 * `state` is set.
 */
vkscan_status vkscan_read_hits(const uint32_t *words,
                               size_t word_count,
                               uint32_t max_matches,
                               vkscan_recorded_state *state,
                               uint32_t *detail,
                               vkscan_match *matches,
                               size_t capacity,
                               size_t *count);

/**
 * Fills in defaults. `size` is sizeof(vkscan_ring_options).
 */
vkscan_status vkscan_ring_options_init(vkscan_ring_options *options, size_t size);

/**
 * Makes the tables of `rules` resident for the first tenant, and a ring of slots; NULL stands for the default
 * options. The ring is freed with vkscan_ring_free; it holds a share in the backend, and needs the rules no
 * more.
 *
 * It fails with VKSCAN_STATUS_INVALID_ARGUMENT for options that no device can have, with
 * VKSCAN_STATUS_UNSUPPORTED where this one cannot have it, for its workgroups, their number or a buffer's size, and
 * vkscan_session_prepare, for one haystack at a time, is what is left; and as that does where the rules are at fault.
 * Nothing is left behind then.
 */
vkscan_status vkscan_ring_open(const vkscan_backend *backend,
                               const vkscan_rules *rules,
                               const vkscan_ring_options *options,
                               vkscan_ring **ring);

/**
 * Gives a tenant, from 0, its rules, which are made resident beside those of the others, and the most matches that an
 * item of it may have. What it had before is freed, once what is in flight has been waited for. The rules are not
 * needed any more.
 *
 * It fails with VKSCAN_STATUS_INVALID_ARGUMENT where there is no such tenant, with VKSCAN_STATUS_CLOSED, as
 * vkscan_session_prepare does where the rules are at fault, and with VKSCAN_STATUS_UNCOLLECTED while items that a
 * fault of the device has held up are still to be waited for.
 */
vkscan_status vkscan_ring_set_tenant(const vkscan_ring *ring,
                                     uint32_t tenant,
                                     const vkscan_rules *rules,
                                     uint32_t max_matches);

/**
 * Scans `count` items, in as many rounds as they take, and waits until all of them are done. Threads that use the ring
 * meanwhile wait; vkscan_ring_publish is for several at a time. The ticket has been waited for: what has come of the
 * items, in their order, gives vkscan_ring_ticket_result. It is freed with vkscan_ring_ticket_free; the items are not
 * needed any more.
 *
 * It fails with VKSCAN_STATUS_CLOSED. What is wrong with one item says its result.
 */
vkscan_status vkscan_ring_scan(const vkscan_ring *ring,
                               const vkscan_ring_item *items,
                               size_t count,
                               vkscan_ring_ticket **ticket);

/**
 * Publishes `count` items, which make one round, and returns without waiting for their scan. Further ones may be
 * published, by whichever thread, as many as there are slots for and rounds in flight. The ticket is freed with
 * vkscan_ring_ticket_free. The array is not needed any more, but the bytes of the items must stay as they are until
 * the ticket has been waited for or freed. Haystacks of vkscan's may be freed meanwhile.
 *
 * It fails with VKSCAN_STATUS_RING_FULL where what is in flight leaves no room, and then waiting for a ticket makes
 * some, or vkscan_ring_flush; with VKSCAN_STATUS_TOO_MANY_ITEMS where an empty ring would not have room, and then
 * `fit`, which may be NULL, gets how many of the first ones it has room for; and with VKSCAN_STATUS_CLOSED. What is
 * wrong with one item says its result.
 */
vkscan_status vkscan_ring_publish(const vkscan_ring *ring,
                                  const vkscan_ring_item *items,
                                  size_t count,
                                  vkscan_ring_ticket **ticket,
                                  size_t *fit);

/**
 * Waits for all that was published. What has come of it is kept for its tickets, and its slots are free.
 */
vkscan_status vkscan_ring_flush(const vkscan_ring *ring);

/**
 * Frees memory that is only kept to be used again: lent memory that has come back, and what rounds and tickets leave.
 * `freed_bytes`, which may be NULL, gets the bytes of staging memory that were given back.
 *
 * It fails with VKSCAN_STATUS_CLOSED.
 */
vkscan_status vkscan_ring_trim(const vkscan_ring *ring,
                               uint64_t *freed_bytes);

/**
 * Slots of the ring; 0 for NULL.
 */
uint32_t vkscan_ring_slot_count(const vkscan_ring *ring);

/**
 * The slot that the first tenant's next item is published in, among those that it has; 0 for NULL.
 */
uint32_t vkscan_ring_next_slot(const vkscan_ring *ring);

/**
 * Gives the backend that the ring is on, to be freed with vkscan_backend_free: another one than it was opened with,
 * once that was lost. Haystacks on the device are made from it.
 *
 * It fails with VKSCAN_STATUS_CLOSED, also where what was lost could not be made anew.
 */
vkscan_status vkscan_ring_backend(const vkscan_ring *ring,
                                  vkscan_backend **backend);

/**
 * Reads a counter, which is a vkscan_ring_counter, of a tenant, from 0, or of all (VKSCAN_ALL_TENANTS), as it is right
 * now, also while work is in flight.
 *
 * It fails with VKSCAN_STATUS_INVALID_ARGUMENT where there is no such tenant, or where `observable_slots` of
 * vkscan_ring_options does not make that counter readable.
 */
vkscan_status vkscan_ring_observe(const vkscan_ring *ring,
                                  uint32_t tenant,
                                  uint32_t counter,
                                  uint64_t *value);

/**
 * Waits for all that was published, and frees what the ring holds on device and host, but for memory that is lent.
 * Tickets of what was published before can be waited for still; nothing can be published any more, and nothing be
 * scanned again. A ring that has been shut down stays so.
 */
vkscan_status vkscan_ring_shutdown(const vkscan_ring *ring);

/**
 * Shuts a ring down, unless that has been done, and frees it. It is gone whatever comes back; NULL is ignored.
 *
 * It fails with VKSCAN_STATUS_STILL_IN_USE where tickets or batches are left that were not freed, and the ring goes
 * with the last of them; or where the device has not answered in time and still holds something, which it gives back
 * once it has (vkscan_backend_held_back). Any other status is the first fault; what can be freed is freed all the
 * same.
 */
vkscan_status vkscan_ring_free(vkscan_ring *ring);

/**
 * Lends memory for items of a tenant, from 0: as many as its slots, and as `round_bytes` of vkscan_ring_options hold.
 * It goes back with vkscan_ring_batch_free, and is kept to be lent again; vkscan_ring_trim frees what is not lent.
 *
 * It fails with VKSCAN_STATUS_NO_RULES and VKSCAN_STATUS_CLOSED.
 */
vkscan_status vkscan_ring_lend(const vkscan_ring *ring,
                               uint32_t tenant,
                               vkscan_ring_batch **batch);

/**
 * Makes room for an item of `len` bytes and of at most `max_matches` matches; 0 for as many as its tenant may have.
 * `bytes` gets where they are: they hold anything at first, and may be written to by any thread, until the batch is
 * published or cleared; when its ticket has been waited for they are there again. Reading them is slow on many
 * devices. Of no bytes there may be no address that means anything.
 *
 * It fails with VKSCAN_STATUS_RING_FULL where there is no more room in the batch, with VKSCAN_STATUS_BUSY while it is
 * scanned, and with VKSCAN_STATUS_BATCH_LOST.
 */
vkscan_status vkscan_ring_batch_reserve(const vkscan_ring_batch *batch,
                                        uint64_t id,
                                        size_t len,
                                        uint32_t max_matches,
                                        uint8_t **bytes);

/**
 * Makes the item at `index`, from 0, shorter: what is behind `len` is not scanned. Where it is shorter already, it
 * stays as it is.
 *
 * It fails with VKSCAN_STATUS_BUSY while the batch is scanned, and with VKSCAN_STATUS_BATCH_LOST.
 */
vkscan_status vkscan_ring_batch_truncate(const vkscan_ring_batch *batch,
                                         size_t index,
                                         size_t len);

/**
 * Items that there is room for; 0 for NULL, and while they are scanned.
 */
size_t vkscan_ring_batch_count(const vkscan_ring_batch *batch);

/**
 * Forgets all items, so that others take their place.
 *
 * It fails with VKSCAN_STATUS_BUSY while they are scanned, and with VKSCAN_STATUS_BATCH_LOST.
 */
vkscan_status vkscan_ring_batch_clear(const vkscan_ring_batch *batch);

/**
 * Publishes what is in a batch, as vkscan_ring_publish does. Until the ticket has been waited for, the batch cannot be
 * used; then it has the same items still, and others once it is cleared. It may be freed meanwhile.
 *
 * It fails with VKSCAN_STATUS_RING_FULL and VKSCAN_STATUS_CLOSED, and the batch is as it was then; with
 * VKSCAN_STATUS_BUSY while it is scanned already; and with VKSCAN_STATUS_BATCH_LOST where it went with a lost device.
 */
vkscan_status vkscan_ring_batch_publish(const vkscan_ring_batch *batch,
                                        vkscan_ring_ticket **ticket);

/**
 * Gives a batch's memory back to its ring. Where a ticket still scans it, it goes back with that.
 */
void vkscan_ring_batch_free(vkscan_ring_batch *batch);

/**
 * Whether all that has been submitted for the items so far has run, so that waiting for them takes no longer than it
 * takes to fetch the matches; but for the few that go on then, or were held up by a fault of the device. It never
 * waits itself. While another thread waits for the ticket it is not, and of NULL it is not.
 */
bool vkscan_ring_ticket_is_ready(const vkscan_ring_ticket *ticket);

/**
 * Waits until what has come of all items is known. The ticket keeps it until it is freed: it can be waited for again.
 * Meanwhile other threads can use the ring.
 *
 * It fails with VKSCAN_STATUS_TIMEOUT where the device has not answered, and as a rule it can be waited for again
 * then; for a batch with VKSCAN_STATUS_BATCH_LOST; and after the loss of the device, unless the ring could be made
 * anew and the items be scanned again.
 */
vkscan_status vkscan_ring_ticket_wait(const vkscan_ring_ticket *ticket);

/**
 * Number of items; 0 for NULL, and until they have been waited for.
 */
size_t vkscan_ring_ticket_count(const vkscan_ring_ticket *ticket);

/**
 * Tells what has come of the item at `index`, from 0, in the order in which they were published.
 *
 * It fails with VKSCAN_STATUS_BUSY where the ticket has not been waited for.
 */
vkscan_status vkscan_ring_ticket_result(const vkscan_ring_ticket *ticket,
                                        size_t index,
                                        vkscan_ring_result *result);

/**
 * Tells what it took: `stats` of the ring, and `scan`, which may be NULL, of all its scans together.
 *
 * It fails with VKSCAN_STATUS_BUSY where the ticket has not been waited for.
 */
vkscan_status vkscan_ring_ticket_stats(const vkscan_ring_ticket *ticket,
                                       vkscan_ring_stats *stats,
                                       vkscan_scan_stats *scan);

/**
 * Frees a ticket, whether it has been waited for or not, and what was asked of it. What its scan finds is dropped, and
 * so is the memory of a batch that was not waited for.
 */
void vkscan_ring_ticket_free(vkscan_ring_ticket *ticket);

/**
 * Fills in defaults. `size` is sizeof(vkscan_pipeline_options).
 */
vkscan_status vkscan_pipeline_options_init(vkscan_pipeline_options *options, size_t size);

/**
 * Compiles patterns, with as many threads as there are cores. A match names its pattern by its index in `patterns`.
 * `options` may be NULL for the defaults. The rules are freed with vkscan_rules_free; patterns are not needed any
 * more.
 *
 * It fails with VKSCAN_STATUS_SYNTAX, VKSCAN_STATUS_PATTERN_TOO_LARGE or VKSCAN_STATUS_INVALID_UTF8: the first
 * pattern's that is wrong, whose index is stored in `wrong_pattern` then unless that is NULL. vkscan_last_error() has
 * a line for every pattern that does not compile.
 */
vkscan_status vkscan_rules_compile(const vkscan_pattern *patterns,
                                   size_t pattern_count,
                                   const vkscan_pipeline_options *options,
                                   vkscan_rules **rules,
                                   size_t *wrong_pattern);

/**
 * Gives compiled rules as bytes, for vkscan_rules_from_bytes of the same version. They are freed with
 * vkscan_bytes_free.
 */
vkscan_status vkscan_rules_to_bytes(const vkscan_rules *rules, uint8_t **bytes, size_t *len);

/**
 * Frees bytes that vkscan_rules_to_bytes gave, with their length.
 */
void vkscan_bytes_free(uint8_t *bytes, size_t len);

/**
 * Reads what vkscan_rules_to_bytes wrote. Bytes from elsewhere do no harm, but match whatever they match. The rules
 * are freed with vkscan_rules_free; the bytes are not needed any more.
 *
 * It fails with VKSCAN_STATUS_MALFORMED for anything else: another version's bytes, damaged ones, missing ones.
 */
vkscan_status vkscan_rules_from_bytes(const uint8_t *bytes,
                                      size_t len,
                                      vkscan_rules **rules);

/**
 * Number of patterns; 0 for NULL.
 */
size_t vkscan_rules_pattern_count(const vkscan_rules *rules);

/**
 * Finds the matches by definition, on the CPU: slowly, and with no device. It gives what vkscan_scan_haystack gives.
 * Matches have at most `max_scan_bytes` bytes; VKSCAN_UNBOUNDED lets them be any length. `matches` has room for
 * `capacity` of them, and `count` gets their number.
 *
 * It fails with VKSCAN_STATUS_BUFFER_TOO_SMALL where there are more than `capacity`; `count` says how many then, and
 * `matches` is as it was.
 */
vkscan_status vkscan_rules_reference_scan(const vkscan_rules *rules,
                                          const uint8_t *haystack,
                                          size_t len,
                                          uint32_t max_scan_bytes,
                                          vkscan_match *matches,
                                          size_t capacity,
                                          size_t *count);

/**
 * Frees rules. Sessions that were prepared with them go on working.
 */
void vkscan_rules_free(vkscan_rules *rules);

/**
 * Fills in defaults. `size` is sizeof(vkscan_session_options).
 */
vkscan_status vkscan_session_options_init(vkscan_session_options *options, size_t size);

/**
 * Moves the rules' tables to the device and makes all that scans need there. The session is freed with
 * vkscan_session_free; it holds a share in the backend, and needs the rules no more.
 *
 * It fails with VKSCAN_STATUS_LIMIT_EXCEEDED where it cannot be made that large, on any device or on this one, with
 * VKSCAN_STATUS_RULE_TOO_LARGE, and with VKSCAN_STATUS_TUNING where the profile is none or was measured on something
 * else. Nothing is left behind then.
 */
vkscan_status vkscan_session_prepare(const vkscan_backend *backend,
                                     const vkscan_rules *rules,
                                     const vkscan_session_options *options,
                                     vkscan_session **session);

/**
 * Pays what a first scan costs beyond later ones, on all that scans in flight have for their own: by a scan of one
 * byte on each. Nobody else scans with the session meanwhile.
 *
 * It fails as vkscan_scan_haystack does, where a device or a limit is at fault.
 */
vkscan_status vkscan_session_warm_up(const vkscan_session *session);

/**
 * Frees all that a session holds, on device and host, and waits for scans that run. The session is gone whatever comes
 * back; NULL is ignored.
 *
 * It fails with VKSCAN_STATUS_STILL_IN_USE where tickets or recordings are left that were not freed, and the session
 * goes with the last of them; or where the device has not answered in time and still holds something, which it gives
 * back once it has (vkscan_backend_held_back). Any other status is the first fault; what can be freed is freed all the
 * same.
 */
vkscan_status vkscan_session_free(vkscan_session *session);

/**
 * Finds all matches in a haystack, wherever it is. `matches` has room for `capacity` of them and gets them sorted by
 * pattern, then by start, then by end; `count` gets their number. Matches have at most `max_scan_bytes` bytes:
 * a leftmost-first one is the most preferred of those; VKSCAN_UNBOUNDED lets them be any length. `stats` may be NULL.
 *
 * It fails with VKSCAN_STATUS_HAYSTACK_TOO_LARGE, and with VKSCAN_STATUS_WRONG_BACKEND; with
 * VKSCAN_STATUS_TOO_MANY_MATCHES where there are more than the session was prepared for, with
 * VKSCAN_STATUS_BUFFER_TOO_SMALL where there are more than `capacity`, and `count` says how many there are then, or
 * were until the scan was given up; and with VKSCAN_STATUS_ALL_IN_FLIGHT where tickets that nobody waits for hold the
 * session for as long as a call waits. `matches` is as it was then, and except after VKSCAN_STATUS_DEVICE_LOST the
 * session goes on working. With a `capacity` of the session's `max_matches` the array is never too small.
 */
vkscan_status vkscan_scan_haystack(const vkscan_session *session,
                                   const vkscan_haystack *haystack,
                                   uint32_t max_scan_bytes,
                                   vkscan_match *matches,
                                   size_t capacity,
                                   size_t *count,
                                   vkscan_scan_stats *stats);

/**
 * Frees memory that is only kept to be used again: staging memory that is not lent at the moment, and host memory.
 * `freed_bytes`, which may be NULL, gets the bytes of staging memory that were given back.
 */
vkscan_status vkscan_session_trim(const vkscan_session *session,
                                  uint64_t *freed_bytes);

/**
 * Longest haystack, in bytes; 0 for NULL.
 */
size_t vkscan_session_haystack_capacity(const vkscan_session *session);

/**
 * Most matches that a scan may have; 0 for NULL.
 */
size_t vkscan_session_max_matches(const vkscan_session *session);

/**
 * Scans that may be under way at the same time; 0 for NULL.
 */
size_t vkscan_session_scans_in_flight(const vkscan_session *session);

/**
 * Bytes of tables on the device; 0 for NULL.
 */
uint64_t vkscan_session_table_bytes(const vkscan_session *session);

/**
 * What a status stands for, in a few words; of a number that is none, so too. It is never freed.
 */
const char *vkscan_status_message(int32_t status);

/**
 * Why the last call on this thread that failed did so: what was wrong and what to do. It is empty if none did, and
 * valid until the next call on this thread.
 */
const char *vkscan_last_error(void);

/**
 * Scans all that `read` gives, however long, in windows of the session's capacity, with matches of at most
 * `max_scan_bytes` bytes. `on_match` is called with every match: sorted within a window, and windows in order. Both
 * are called by this thread, with `user_data`, and must return. The session's `max_matches` bounds the matches of one
 * window. `scanned` gets the bytes that were scanned to the end; it and `stats` may be NULL.
 *
 * It fails as vkscan_scan_haystack does; with VKSCAN_STATUS_READ; with VKSCAN_STATUS_UNDECIDED where a pattern cannot be
 * decided within a window; and with VKSCAN_STATUS_WINDOW_TOO_SMALL. The matches that `on_match` was told until then
 * are exactly those that start before `scanned`, which is set then, too.
 */
vkscan_status vkscan_scan_reader(const vkscan_session *session,
                                 vkscan_read_fn read,
                                 vkscan_match_fn on_match,
                                 void *user_data,
                                 uint32_t max_scan_bytes,
                                 uint64_t *scanned,
                                 vkscan_scan_stats *stats);

/**
 * Submits a scan of a haystack, wherever it is, and returns as soon as that is on its way. Until it is waited for with
 * vkscan_ticket_wait, further ones can be submitted, as many as the session takes at a time; where as many are in
 * flight already, this waits until one of them is over. The ticket is freed with vkscan_ticket_free. Bytes of the
 * caller's must stay as they are until the ticket has been waited for or freed. Haystacks of vkscan's may be freed
 * meanwhile, and staging memory must not be written to.
 *
 * The scan keeps the order of semaphores of the caller's: it begins once all of the `wait_count` ones at `waits` are
 * reached, and when it is over all of the `signal_count` ones at `signals` are signalled, whether it failed or not.
 * Then the device no longer reads the haystack. The arrays may be NULL where there are none, and are not needed any
 * more when this returns.
 *
 * A scan is over when vkscan_ticket_wait has returned or the ticket has been freed: only the host knows whether it has
 * to go on. So nothing that this thread waits for before that may wait for `signals`. vkscan_ticket_timeline is for
 * that.
 *
 * It fails with VKSCAN_STATUS_HAYSTACK_TOO_LARGE and VKSCAN_STATUS_WRONG_BACKEND, with VKSCAN_STATUS_INVALID_HANDLE
 * for a null semaphore, and with VKSCAN_STATUS_ALL_IN_FLIGHT where tickets that nobody waits for hold the session for
 * as long as a call waits. Nothing is signalled then.
 */
vkscan_status vkscan_submit_haystack(const vkscan_session *session,
                                     const vkscan_haystack *haystack,
                                     uint32_t max_scan_bytes,
                                     const vkscan_raw_semaphore *waits,
                                     size_t wait_count,
                                     const vkscan_raw_semaphore *signals,
                                     size_t signal_count,
                                     vkscan_ticket **ticket);

/**
 * Whether all that has been submitted for the scan so far has run, so that waiting for it takes no longer than it
 * takes to fetch the matches; but for the few scans that go on then. It never waits itself. While another thread waits
 * for the ticket it is not, and of NULL it is not.
 */
bool vkscan_ticket_is_ready(const vkscan_ticket *ticket);

/**
 * Gives the timeline semaphore and the value that it reaches when vkscan_ticket_is_ready says so, to wait for among
 * others on the same device. Both are 0 where there was nothing to submit, as for a haystack of no bytes. The
 * semaphore is the session's, and there until the ticket is freed.
 */
vkscan_status vkscan_ticket_timeline(const vkscan_ticket *ticket,
                                     vkscan_raw_semaphore *semaphore);

/**
 * Waits for a scan's end, and gives its matches as vkscan_scan_haystack does. The ticket keeps them until it is freed: where
 * `matches` was too small, it can be waited for again. `stats` may be NULL.
 *
 * It fails as vkscan_scan_haystack does. After another failure than VKSCAN_STATUS_BUFFER_TOO_SMALL, what was found is lost.
 */
vkscan_status vkscan_ticket_wait(const vkscan_ticket *ticket,
                                 vkscan_match *matches,
                                 size_t capacity,
                                 size_t *count,
                                 vkscan_scan_stats *stats);

/**
 * Frees a ticket, whether it has been waited for or not. What its scan finds is dropped.
 */
void vkscan_ticket_free(vkscan_ticket *ticket);

/**
 * Gives the log of a backend, to be freed with vkscan_validation_log_free. It stays empty without validation, and
 * where the device is the caller's.
 */
vkscan_status vkscan_backend_validation_log(const vkscan_backend *backend,
                                            vkscan_validation_log **log);

/**
 * Number of messages so far; 0 for NULL.
 */
size_t vkscan_validation_log_count(const vkscan_validation_log *log);

/**
 * The message at `index`, from 0, valid until the log is freed; NULL if there is none.
 */
const char *vkscan_validation_log_message(const vkscan_validation_log *log, size_t index);

/**
 * Frees a log, and the messages that were asked of it.
 */
void vkscan_validation_log_free(vkscan_validation_log *log);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* VKSCAN_H */
