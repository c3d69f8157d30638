/* What pictures, documents, sounds and tools in a request cost, by provider. */
#include "test_client_profiles.h"

#include <stdio.h>

#include "profile/media_size.h"

/* ---- Data ---- */

static char *encode(const uint8_t *data, size_t n)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
    char *out = malloc((n + 2) / 3 * 4 + 1);
    char *to = out;
    assert_non_null(out);
    for (size_t i = 0; i < n; i += 3) {
        uint32_t bits = (uint32_t)data[i] << 16;
        bits |= i + 1 < n ? (uint32_t)data[i + 1] << 8 : 0;
        bits |= i + 2 < n ? data[i + 2] : 0;
        *to++ = digits[bits >> 18];
        *to++ = digits[bits >> 12 & 63];
        *to++ = digits[i + 1 < n ? bits >> 6 & 63 : 64];
        *to++ = digits[i + 2 < n ? bits & 63 : 64];
    }
    *to = '\0';
    return out;
}

/* The beginning of a PNG of that size, and as many bytes more as make it `n`. */
static char *png(uint32_t width, uint32_t height, size_t n)
{
    uint8_t *data = calloc(1, n);
    assert_non_null(data);
    static const uint8_t begin[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n',
                                    0,    0,   0,   13,  'I',  'H',  'D',  'R'};
    memcpy(data, begin, sizeof(begin));
    for (unsigned i = 0; i < 4; i++) {
        data[16 + i] = (uint8_t)(width >> (24 - 8 * i));
        data[20 + i] = (uint8_t)(height >> (24 - 8 * i));
    }
    char *out = encode(data, n);
    free(data);
    return out;
}

static void expect_size(const void *data, size_t n, enum media_kind kind, int64_t width,
                        int64_t height)
{
    struct media_size size;
    char *text = encode(data, n);
    media_measure(text, strlen(text), &size);
    free(text);
    assert_int_equal(size.kind, kind);
    assert_int_equal(size.bytes, n);
    assert_int_equal(size.width, width);
    assert_int_equal(size.height, height);
}

#define EXPECT_SIZE(text, kind, width, height)                                                     \
    expect_size(text, sizeof(text) - 1, kind, width, height)

static void measures_pictures(void **state)
{
    (void)state;
    EXPECT_SIZE("GIF89a\x80\x02\xe0\x01\xf7", MEDIA_IMAGE, 640, 480);
    /* an APP0, an APP1 with a picture of its own, a table, fill bytes, then the frame */
    EXPECT_SIZE("\xff\xd8\xff\xe0\0\x04JF\xff\xe1\0\x0b\xff\xc0\0\x11\x08\0\1\0\1\xff\xc4\0\x03x"
                "\xff\xff\xff\xc2\0\x11\x08\x04\x38\x07\x80\x03",
                MEDIA_IMAGE, 1920, 1080);
    EXPECT_SIZE("\xff\xd8\xff\xe0\xff\xff", MEDIA_IMAGE, 0, 0); /* cut short */
    EXPECT_SIZE("\xff\xd8\xff\xe0\0\1\xff\xc0", MEDIA_IMAGE, 0, 0);
    EXPECT_SIZE("RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a\x20\x03\x58\x02", MEDIA_IMAGE, 800,
                600);
    EXPECT_SIZE("RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f\x1f\xc3\x95\0\0\0\0\0\0", MEDIA_IMAGE, 800, 600);
    EXPECT_SIZE("RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0\x1f\x03\0\x57\x02\0", MEDIA_IMAGE, 800, 600);
    EXPECT_SIZE("nothing of the kind", MEDIA_UNKNOWN, 0, 0);
    EXPECT_SIZE("", MEDIA_UNKNOWN, 0, 0);
    /* a side beyond all measure is cut */
    char *huge = png(0xffffffff, 1, 40);
    struct media_size size;
    media_measure(huge, strlen(huge), &size);
    assert_int_equal(size.width, 1 << 20);
    free(huge);
    /* base64 with line breaks, as MIME has it, and in the form for URLs */
    media_measure("iVBO\r\nRw0KGgoAAAANSUhEUgAABAAAAAIA", 34, &size);
    assert_int_equal(size.width, 1024);
    assert_int_equal(size.height, 512);
}

static void counts_pages(void **state)
{
    (void)state;
    static const char pdf[] = "%PDF-1.4 1 0 obj<</Type/Pages /Count 9>> 2 0 obj << /Type /Page /X>>"
                              "<</Type\n/Page>> <<//Type/Page/Parent>> <</Type /PageLabel>>";
    struct media_size size;
    char *text = encode((const uint8_t *)pdf, sizeof(pdf) - 1);
    media_measure(text, strlen(text), &size);
    free(text);
    assert_int_equal(size.kind, MEDIA_DOCUMENT);
    assert_int_equal(size.pages, 3);
}

/* ---- Prices ---- */

/* The estimate of the input that `format` makes with `data` in it, less that of the same request
 * with nothing there. */
static void expect_input(const char *profile, const char *format, const char *data, int64_t wanted)
{
    struct profile_request request = {0};
    char why[PROFILE_WHY_BYTES] = "";
    char *text = malloc(strlen(format) + strlen(data) + 1);
    assert_non_null(text);
    const char *place = strchr(format, '$');
    if (place)
        sprintf(text, "%.*s%s%s", (int)(place - format), format, data, place + 1);
    else
        strcpy(text, format);
    json_object *body = json_of(text);
    assert_non_null(body);
    assert_int_equal(profile_read_request(profile_of(profile), body, &request, why), 0);
    json_object_put(body);
    if (request.input_tokens != wanted)
        fail_msg("%s %.100s: %lld, not %lld", profile, format, (long long)request.input_tokens,
                 (long long)wanted);
    free(text);
}

#define OPENAI(more)    "{'messages':[{'content':[" more "]}]}"
#define IMAGE_URL(more) OPENAI("{'type':'image_url','image_url':{'url':'$'" more "}}")

static void prices_pictures_of_openai(void **state)
{
    (void)state;
    static const struct {
        uint32_t width;
        uint32_t height;
        int64_t tokens; /* as the provider's guide has them */
    } sizes[] = {{1024, 1024, 765}, {2048, 4096, 1105}, {512, 512, 255}, {1, 1, 255}};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char *data = png(sizes[i].width, sizes[i].height, 3000);
        char *url = malloc(strlen(data) + 64);
        assert_non_null(url);
        sprintf(url, "data:image/png;base64,%s", data);
        expect_input("openai", IMAGE_URL(""), url, sizes[i].tokens);
        expect_input("openai", IMAGE_URL(",'detail':'high'"), url, sizes[i].tokens);
        expect_input("openai", IMAGE_URL(",'detail':'low'"), url, 85);
        expect_input("openai-responses",
                     "{'input':[{'content':[{'type':'input_image','image_url':'$'}]}]}", url,
                     sizes[i].tokens);
        expect_input("openai-responses",
                     "{'input':[{'type':'computer_call_output','output':{'type':"
                     "'computer_screenshot','image_url':'$'}}]}",
                     url, sizes[i].tokens);
        /* nor does it count as text where it stands as such */
        expect_input("openai", "{'messages':[{'content':'$'}]}", url, sizes[i].tokens);
        free(url);
        free(data);
    }
    expect_input("openai", IMAGE_URL(""), "https://x/y.png", 765);
    expect_input("openai", IMAGE_URL(",'detail':'low'"), "https://x/y.png", 85);
    expect_input("openai", OPENAI("{'image_url':'https://x/y.png'}"), "", 765);
    expect_input("openai", OPENAI("{'image_url':{'url':'$'}},{'image_url':{'url':'$'}}"), "h:x",
                 1530);
    expect_input("openai", OPENAI("{'file':{'file_id':'file-1'}}"), "", 8000);
    expect_input("openai", OPENAI("{'file':{}}"), "", 0);
    expect_input("openai-embeddings", IMAGE_URL(""), "https://x/y.png", 0);
}

static void prices_pictures_of_the_others(void **state)
{
    (void)state;
    char *small = png(300, 200, 100);
    char *middle = png(1000, 1000, 100000);
    char *large = png(4000, 3000, 100);
    static const char claude[] = "{'messages':[{'content':[{'type':'image','source':{'type':"
                                 "'base64','media_type':'image/png','data':'$'}}]}]}";
    static const char result[] =
        "{'messages':[{'content':[{'type':'tool_result','content':[{'type':'image','source':{"
        "'type':'base64','media_type':'image/png','data':'$'}}]}]}]}";
    static const char gemini[] =
        "{'contents':[{'parts':[{'inlineData':{'mimeType':'image/png','data':'$'}}]}]}";
    static const char function[] =
        "{'contents':[{'parts':[{'functionResponse':{'parts':[{'inlineData':{'mimeType':"
        "'image/png','data':'$'}}]}}]}]}";
    static const char converse[] =
        "{'messages':[{'content':[{'image':{'format':'png','source':{'bytes':'$'}}}]}]}";
    expect_input("anthropic", claude, small, 80);
    expect_input("anthropic", claude, middle, 1334);
    expect_input("anthropic", claude, large, 1600);
    expect_input("anthropic", result, middle, 1334);
    expect_input(
        "anthropic",
        "{'messages':[{'content':[{'type':'image','source':{'type':'url','url':'h:x'}}]}]}", "",
        1600);
    expect_input("gemini", gemini, small, 258);
    expect_input("gemini", gemini, middle, 1032);
    expect_input("gemini", gemini, large, 6192);
    expect_input("gemini", function, middle, 1032);
    expect_input("vertex", gemini, small, 258);
    expect_input("bedrock", converse, middle, 1334);
    expect_input("ollama", "{'messages':[{'images':['$']}]}", middle, 576);
    /* what a function gave back, within its own JSON: {"image":""} and its quotes are text */
    expect_input("gemini",
                 "{'contents':[{'parts':[{'functionResponse':{'response':{'image':'$'}}}]}]}",
                 middle, 1035);
    free(small);
    free(middle);
    free(large);
}

static void prices_documents_and_sounds(void **state)
{
    (void)state;
    static const char pdf[] = "%PDF-1.4 <</Type /Page>> <</Type /Page>> <</Type /Page>>     .....";
    static const char packed[] = "%PDF-1.7 with its objects packed, so that no page shows ........";
    static const char claude[] = "{'messages':[{'content':[{'type':'document','source':{'type':"
                                 "'base64','media_type':'application/pdf','data':'$'}}]}]}";
    char *three = encode((const uint8_t *)pdf, sizeof(pdf) - 1);
    char *unknown = encode((const uint8_t *)packed, sizeof(packed) - 1);
    expect_input("anthropic", claude, three, 7200);
    expect_input("anthropic", claude, unknown, 2400);
    expect_input(
        "gemini",
        "{'contents':[{'parts':[{'inlineData':{'mimeType':'application/pdf','data':'$'}}]}]}",
        three, 774);
    expect_input(
        "bedrock",
        "{'messages':[{'content':[{'document':{'format':'pdf','source':{'bytes':'$'}}}]}]}", three,
        7200);
    expect_input("openai", OPENAI("{'file':{'file_data':'data:application/pdf;base64,$'}}"), three,
                 4800);
    /* a document that is text costs as text */
    expect_input("anthropic",
                 "{'messages':[{'content':[{'type':'document','source':{'type':'text','media_type':"
                 "'text/plain','data':'12 45 78 '}}]}]}",
                 "", 3);
    free(three);
    free(unknown);

    /* two seconds of 16,000 bytes each, by the header; a sound without one has 16,000 */
    uint8_t *wav = calloc(1, 32000);
    assert_non_null(wav);
    static const uint8_t header[] = {'R', 'I', 'F',  'F',  0,   0,  0,    0,    'W', 'A', 'V',
                                     'E', 'f', 'm',  't',  ' ', 16, 0,    0,    0,   1,   0,
                                     1,   0,   0x40, 0x1f, 0,   0,  0x80, 0x3e, 0,   0};
    memcpy(wav, header, sizeof(header));
    char *sound = encode(wav, 32000);
    expect_input("openai", OPENAI("{'input_audio':{'format':'wav','data':'$'}}"), sound, 20);
    expect_input("gemini",
                 "{'contents':[{'parts':[{'inlineData':{'mimeType':'audio/wav','data':'$'}}]}]}",
                 sound, 64);
    free(sound);
    static const uint8_t tag[] = {'I', 'D', '3', 4};
    memcpy(wav, tag, sizeof(tag));
    sound = encode(wav, 32000);
    expect_input("gemini",
                 "{'contents':[{'parts':[{'inlineData':{'mimeType':'audio/mp3','data':'$'}}]}]}",
                 sound, 64);
    free(sound);
    free(wav);
    expect_input("gemini",
                 "{'contents':[{'parts':[{'fileData':{'mimeType':'video/mp4','fileUri':'g:x'}}]}]}",
                 "", 17700);
}

static void prices_tools(void **state)
{
    (void)state;
    /* [{"name":"f"}] has 14 characters */
    expect_input("anthropic", "{'tools':[{'name':'f'}]}", "", 4 + 573);
    expect_input("anthropic", "{'tools':[]}", "", 1);
    expect_input("bedrock", "{'toolConfig':{'tools':[{'a':1}]}}", "", 5 + 573);
    expect_input("openai", "{'tools':[{'name':'f'}]}", "", 4);
    /* numbers, escapes, nothing: as they are written. {"a":[1.5,null,true],"b":"\n\"x"} has 35 */
    expect_input("openai", "{'tools':{'a':[1.5,null,true],'b':'\\n\\u0022x'}}", "", 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measures_pictures),
        cmocka_unit_test(counts_pages),
        cmocka_unit_test(prices_pictures_of_openai),
        cmocka_unit_test(prices_pictures_of_the_others),
        cmocka_unit_test(prices_documents_and_sounds),
        cmocka_unit_test(prices_tools),
    };
    return cmocka_run_group_tests(tests, open_profiles, close_profiles);
}
