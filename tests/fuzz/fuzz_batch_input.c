/*
 * Fuzz target: the file of requests of `ration batch`.
 *
 * Accepted requests can be read again, line by line and in the order of the file, all in the same
 * form; if they have ids, no two are equal.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool/batch/input.h"

/* Like the profile's check in `ration batch`: it may look at everything and refuses some. */
static bool check_one(void *arg, const struct batch_request *request, char *why)
{
    (void)arg;
    CHECK(json_object_is_type(request->body, json_type_object));
    if (!json_object_object_get_ex(request->body, "refuse", NULL))
        return true;
    memcpy(why, "refused", sizeof("refused"));
    return false;
}

static void check_line(const struct batch_input *input, const char *bytes, size_t size, size_t i,
                       char **id)
{
    const struct batch_line *line = &input->lines[i];
    struct batch_request request;
    char *text = NULL;
    CHECK(line->offset >= 0 && (size_t)line->offset + line->bytes <= size && line->number > i);
    CHECK(i == 0 || line->offset > input->lines[i - 1].offset);
    CHECK(i == 0 || line->number > input->lines[i - 1].number);
    CHECK(batch_input_read(input, i, &request, &text));
    CHECK(memcmp(text, bytes + line->offset, line->bytes) == 0 && text[line->bytes] == '\0');
    CHECK(memchr(text, '\n', line->bytes) == NULL);
    CHECK(json_object_is_type(request.body, json_type_object));
    *id = request.custom_id ? strdup(request.custom_id) : NULL;
    CHECK(*id == NULL || **id != '\0');
    json_object_put(request.root);
    free(text);
}

static void check_input(const struct batch_input *input, const char *bytes, size_t size)
{
    char **ids = calloc(input->n, sizeof(*ids));
    CHECK(ids != NULL && input->n > 0 && input->bytes == (int64_t)size);
    for (size_t i = 0; i < input->n; i++) {
        check_line(input, bytes, size, i, &ids[i]);
        for (size_t j = 0; j < i && ids[i]; j++)
            CHECK(ids[j] && strcmp(ids[i], ids[j]) != 0);
    }
    for (size_t i = 0; i < input->n; i++)
        free(ids[i]);
    free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct batch_input input;
    char path[FUZZ_PATH_BYTES];
    int fd = fuzz_file((const char *)data, size, path);
    if (batch_input_open(&input, path, true, check_one, NULL)) {
        check_input(&input, (const char *)data, size);
        batch_input_close(&input);
    }
    close(fd);
    return 0;
}
