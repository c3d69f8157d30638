/*
 * Signatures, against vectors that AWS's own signer made: botocore 1.44 (PyPI), SigV4Auth(Credentials(ID, SECRET, session),
 * "bedrock", "eu-west-1").add_auth(AWSRequest("POST", url, data=body, headers={"Content-Type": type})) with its clock at
 * 2025-06-01 12:00:00 UTC. Hashes against those of FIPS 180-4 and RFC 4231.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <ration/ration.h>

#include "sha256.h"
#include "sigv4.h"

#define NOW    1748779200
#define ID     "AKIDEXAMPLE"
#define SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define HOST   "https://bedrock-runtime.eu-west-1.amazonaws.com"
#define BEGIN                                                                                      \
    "Authorization: AWS4-HMAC-SHA256 Credential=" ID                                               \
    "/20250601/eu-west-1/bedrock/aws4_request, SignedHeaders="

static void hashes(void **state)
{
    (void)state;
    uint8_t digest[SHA256_BYTES];
    char hex[SHA256_HEX_BYTES];
    sha256("", 0, digest);
    sha256_hex(digest, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    /* one block and its padding, and two */
    sha256("abc", 3, digest);
    sha256_hex(digest, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, digest);
    sha256_hex(digest, hex);
    assert_string_equal(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    char *million = malloc(1000000);
    assert_non_null(million);
    memset(million, 'a', 1000000);
    sha256(million, 1000000, digest);
    sha256_hex(digest, hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    sha256_hmac("Jefe", 4, "what do ya want for nothing?", 28, digest);
    sha256_hex(digest, hex);
    assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    /* a key longer than a block is hashed first */
    memset(million, 0xaa, 131);
    sha256_hmac(million, 131, "Test Using Larger Than Block-Size Key - Hash Key First", 54, digest);
    sha256_hex(digest, hex);
    assert_string_equal(hex, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    free(million);
}

static void signs_as_aws_does(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        const char *type;
        const char *body;
        const char *session;
        const char *signed_as;
    } vectors[] = {
        {HOST "/model/anthropic.claude-3-5-sonnet-20240620-v1%3A0/converse", "application/json",
         "{\"a\":1}", NULL,
         BEGIN "content-type;host;x-amz-date, "
               "Signature=33eb7856b015e09ec20babdff246ecb1e400154915e74b313b107197abf2f890"},
        {HOST "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A123456789012%3Ainference-profile%2F"
              "eu.anthropic.claude-sonnet-4-20250514-v1%3A0/converse-stream",
         "application/json", "{\"messages\":[]}", "c2Vzc2lvbg==",
         BEGIN "content-type;host;x-amz-date;x-amz-security-token, "
               "Signature=d8d1ad3f2e2aa6b6b3e5beb243d30b324e331615fb3420651c360063bdc6497f"},
        {HOST "/model/amazon.nova-lite-v1%3A0/converse?b=2&a=1", NULL, "", NULL,
         BEGIN "host;x-amz-date, "
               "Signature=8e6bce4618e43fdb6291baf67c78319bfc98fb702fb30cd4614195f9f8c541f9"},
        {"https://vpce.example.com:8443/model/plain/converse", "application/json", "\xc3\xa4", NULL,
         BEGIN "content-type;host;x-amz-date, "
               "Signature=78ecb4f53ed15a0fa512796c7ac66b4cd8af7460509ddfcf5d946e563e1c9bee"},
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        const struct sigv4_account account = {ID, SECRET, vectors[i].session, "eu-west-1",
                                              "bedrock"};
        struct sigv4_headers headers = {.n = 0};
        assert_int_equal(sigv4_sign(&account, vectors[i].url, vectors[i].type, vectors[i].body,
                                    strlen(vectors[i].body), NOW, &headers),
                         0);
        assert_int_equal(headers.n, vectors[i].session ? 3 : 2);
        assert_string_equal(headers.line[0], vectors[i].signed_as);
        assert_string_equal(headers.line[1], "X-Amz-Date: 20250601T120000Z");
        if (vectors[i].session)
            assert_string_equal(headers.line[2], "X-Amz-Security-Token: c2Vzc2lvbg==");
        sigv4_free(&headers);
        sigv4_free(&headers);
    }
}

static void refuses_what_is_no_url(void **state)
{
    (void)state;
    const struct sigv4_account account = {ID, SECRET, NULL, "eu-west-1", "bedrock"};
    struct sigv4_headers headers = {.n = 0};
    assert_int_equal(sigv4_sign(&account, "nowhere", NULL, "", 0, NOW, &headers), RATION_EINVALID);
    assert_int_equal(sigv4_sign(&account, "https:///x", NULL, "", 0, NOW, &headers),
                     RATION_EINVALID);
    assert_int_equal(headers.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes),
        cmocka_unit_test(signs_as_aws_does),
        cmocka_unit_test(refuses_what_is_no_url),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
