/* Captures, with RenderDoc attached: the argument is where they go. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vkscan.h>

#define CHECK(condition) ((condition) ? (void)0 : fail(__LINE__, #condition))

static void fail(int line, const char *what)
{
    fprintf(stderr, "%d: %s; last error: %s\n", line, what, vkscan_last_error());
    exit(1);
}

static void upload(const vkscan_backend *backend)
{
    vkscan_resident_haystack *resident;
    CHECK(vkscan_resident_haystack_new(backend, (const uint8_t *)"a haystack", 10, &resident) == VKSCAN_STATUS_OK);
    vkscan_resident_haystack_free(resident);
}

int main(int argc, char **argv)
{
    vkscan_backend *backend;
    vkscan_capture *capture, *other;
    const char *path;
    FILE *file;

    CHECK(argc == 2);
    CHECK(vkscan_backend_open(NULL, &backend) == VKSCAN_STATUS_OK);
    CHECK(vkscan_backend_capture(backend, argv[1], &capture) == VKSCAN_STATUS_OK);
    CHECK(vkscan_backend_capture(backend, argv[1], &other) == VKSCAN_STATUS_CAPTURE_FAILED && other == NULL);
    upload(backend);
    CHECK(vkscan_capture_end(capture, &path) == VKSCAN_STATUS_OK);
    file = fopen(path, "rb");
    CHECK(file != NULL && fgetc(file) != EOF);
    fclose(file);
    puts(path);
    CHECK(vkscan_capture_end(capture, &path) == VKSCAN_STATUS_INVALID_ARGUMENT);
    vkscan_capture_free(capture);

    /* One that has not ended is discarded; and one in which nothing happens fails. */
    CHECK(vkscan_backend_capture(backend, argv[1], &capture) == VKSCAN_STATUS_OK);
    upload(backend);
    vkscan_capture_free(capture);
    CHECK(vkscan_backend_capture(backend, argv[1], &capture) == VKSCAN_STATUS_OK);
    CHECK(vkscan_capture_end(capture, &path) == VKSCAN_STATUS_CAPTURE_FAILED);
    vkscan_capture_free(capture);
    vkscan_backend_free(backend);
    return 0;
}
