/* Memory in plain sight: what a session will take, and haystacks in memory of the program's, which it gets back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "misuse.h"
#include "program.h"

#define PAGE 4096

/* Memory, and how often it was given back. */
typedef struct {
    void *whole;
    uint8_t *text;
    int released;
} memory;

static memory allocate(void)
{
    memory made = {.whole = malloc(4 * PAGE)};
    uintptr_t begin = ((uintptr_t)made.whole + PAGE - 1) / PAGE * PAGE;
    CHECK(made.whole != NULL);
    memset(made.whole, 'x', 4 * PAGE);
    /* At an odd address, over the end of a page. */
    made.text = (uint8_t *)made.whole + (begin - (uintptr_t)made.whole) + PAGE - 21;
    memcpy(made.text, TEXT, TEXT_LEN);
    return made;
}

static void release(void *user_data)
{
    memory *self = user_data;
    self->released++;
    free(self->whole);
}

/* Imports that fail give the memory back, too. */
static void refused(const vkscan_backend *backend, vkscan_status status, const char *words)
{
    vkscan_imported_haystack *imported = (vkscan_imported_haystack *)1;
    memory one = allocate();
    EXPECT(status, vkscan_imported_haystack_new(backend, one.text, TEXT_LEN, release, &one, &imported), words);
    CHECK(imported == NULL && one.released == 1);
}

static void wrong(const vkscan_backend *backend)
{
    vkscan_imported_haystack *imported;
    memory one = allocate();
    refused(NULL, VKSCAN_STATUS_INVALID_ARGUMENT, "`backend` is null");
    INVALID(vkscan_imported_haystack_new(backend, one.text, TEXT_LEN, NULL, &one, &imported), "`release` is null");
    CHECK(imported == NULL && one.released == 0);
    INVALID(vkscan_imported_haystack_new(backend, NULL, 1, release, &one, &imported), "`haystack` is null");
    CHECK(one.released == 1);
    one = allocate();
    INVALID(vkscan_imported_haystack_new(backend, one.text, TEXT_LEN, release, &one, NULL), "`imported` is null");
    CHECK(one.released == 1);
    one = allocate();
    EXPECT(VKSCAN_STATUS_HAYSTACK_TOO_LARGE,
           vkscan_imported_haystack_new(backend, one.text, (size_t)5 << 30, release, &one, &imported), "5368709120");
    CHECK(one.released == 1);
    CHECK(vkscan_imported_haystack_len(NULL) == 0);
    vkscan_imported_haystack_free(NULL);
}

/* Memory that goes with the last who reads it. */
static void scanned(const vkscan_backend *backend)
{
    vkscan_session *session = prepare(backend, 1 << 12, 10);
    vkscan_imported_haystack *imported;
    vkscan_haystack haystack = {.struct_size = sizeof haystack};
    vkscan_ticket *ticket;
    vkscan_match matches[10];
    memory one = allocate(), none = allocate();
    size_t count;

    OK(vkscan_imported_haystack_new(backend, none.text, 0, release, &none, &imported));
    CHECK(none.released == 1 && vkscan_imported_haystack_len(imported) == 0);
    vkscan_imported_haystack_free(imported);
    CHECK(none.released == 1);

    OK(vkscan_imported_haystack_new(backend, one.text, TEXT_LEN, release, &one, &imported));
    CHECK(vkscan_imported_haystack_len(imported) == TEXT_LEN);
    haystack.imported = imported;
    OK(vkscan_scan_haystack(session, &haystack, VKSCAN_UNBOUNDED, matches, 10, &count, NULL));
    check_matches(matches, count);
    OK(vkscan_submit_haystack(session, &haystack, VKSCAN_UNBOUNDED, NULL, 0, NULL, 0, &ticket));
    vkscan_imported_haystack_free(imported);
    CHECK(one.released == 0);
    OK(vkscan_ticket_wait(ticket, matches, 10, &count, NULL));
    check_matches(matches, count);
    vkscan_ticket_free(ticket);
    CHECK(one.released == 1);
    OK(vkscan_session_free(session));
    CHECK(one.released == 1);
}

void imports(const vkscan_backend *owner)
{
    static const char *const extension = "VK_EXT_external_memory_host";
    vkscan_device_info info = {.struct_size = sizeof info};
    vkscan_backend *backend;
    program self;

    begin_program(&self, owner);
    OK(vkscan_backend_device_info(owner, &info));
    if (info.host_import_alignment > 0) {
        scanned(owner);
        backend = backend_of(&self, extension);
        scanned(backend);
        vkscan_backend_free(backend);
    } else {
        fputs("not run: the device does not import host memory\n", stderr);
        refused(owner, VKSCAN_STATUS_UNSUPPORTED, extension);
    }
    backend = backend_of(&self, NULL);
    refused(backend, VKSCAN_STATUS_UNSUPPORTED, extension);
    vkscan_backend_free(backend);
    end_program(&self);
    wrong(owner);
}

/* The device of the options at hand. */
static size_t preferred(const vkscan_device_list *list)
{
    vkscan_device_info info = {.struct_size = sizeof info};
    size_t i;
    for (i = 0;; i++) {
        OK(vkscan_device_list_get(list, i, &info));
        if (info.preference != NULL) {
            return i;
        }
    }
}

void plans(const vkscan_backend *backend)
{
    vkscan_rules *rules = compile();
    vkscan_session_options options;
    vkscan_session_plan *plan, *same;
    vkscan_planned_memory one = {.struct_size = sizeof one};
    vkscan_device_list *list;
    vkscan_session *session;
    uint64_t sum = 0;
    size_t i;

    CHECK(vkscan_backend_allocated_bytes(backend) == 0);
    OK(vkscan_session_options_init(&options, sizeof options));
    options.haystack_capacity_bytes = 1 << 12;
    options.max_matches = 10;
    OK(vkscan_devices(NULL, &list));
    OK(vkscan_session_plan_new(list, preferred(list), rules, &options, &plan));
    INVALID(vkscan_session_plan_new(list, 99, rules, &options, &same), "there are");
    vkscan_device_list_free(list);
    OK(vkscan_session_plan_for_backend(backend, rules, &options, &same));
    vkscan_rules_free(rules);
    for (i = 0; i < vkscan_session_plan_memory_count(plan); i++) {
        OK(vkscan_session_plan_memory(plan, i, &one));
        CHECK(one.buffers > 0 && strlen(one.purpose) > 0);
        sum += one.bytes;
    }
    CHECK(sum > 0 && sum == vkscan_session_plan_bytes(plan) && sum == vkscan_session_plan_bytes(same));
    INVALID(vkscan_session_plan_memory(plan, i, &one), "purposes");
    one.struct_size = 4;
    INVALID(vkscan_session_plan_memory(plan, 0, &one), "`struct_size` of 4");

    OK(vkscan_session_plan_prepare(plan, backend, &session));
    vkscan_session_plan_free(plan);
    CHECK(vkscan_backend_allocated_bytes(backend) == sum);
    OK(vkscan_session_warm_up(session));
    scan(session);
    CHECK(vkscan_backend_allocated_bytes(backend) == sum);
    OK(vkscan_session_free(session));

    rules = compile();
    options.haystack_capacity_bytes = SIZE_MAX;
    EXPECT(VKSCAN_STATUS_LIMIT_EXCEEDED, vkscan_session_plan_for_backend(backend, rules, &options, &plan),
           "haystack capacity");
    INVALID(vkscan_session_plan_new(NULL, 0, rules, &options, &plan), "`list` is null");
    INVALID(vkscan_session_plan_for_backend(NULL, rules, &options, &plan), "`backend` is null");
    INVALID(vkscan_session_plan_for_backend(backend, NULL, &options, &plan), "`rules` is null");
    INVALID(vkscan_session_plan_for_backend(backend, rules, NULL, &plan), "`options` is null");
    INVALID(vkscan_session_plan_for_backend(backend, rules, &options, NULL), "`plan` is null");
    INVALID(vkscan_session_plan_prepare(NULL, backend, &session), "`plan` is null");
    INVALID(vkscan_session_plan_prepare(same, NULL, &session), "`backend` is null");
    INVALID(vkscan_session_plan_prepare(same, backend, NULL), "`session` is null");
    INVALID(vkscan_session_plan_memory(NULL, 0, &one), "`plan` is null");
    INVALID(vkscan_session_warm_up(NULL), "`session` is null");
    CHECK(vkscan_session_plan_bytes(NULL) == 0 && vkscan_session_plan_memory_count(NULL) == 0);
    vkscan_session_plan_free(same);
    vkscan_session_plan_free(NULL);
    vkscan_rules_free(rules);
}
