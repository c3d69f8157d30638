/*
 * Signatures, against vectors that AWS's own signer made: botocore 1.44 (PyPI),
 * SigV4Auth(Credentials(ID, SECRET, session), "bedrock", "eu-west-1").add_auth(AWSRequest("POST",
 * url, data=body, headers={"Content-Type": type})) with its clock at 2025-06-01 12:00:00 UTC.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <ration/ration.h>

#include "profile/sigv4.h"

#define NOW    1748779200
#define ID     "AKIDEXAMPLE"
#define SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define HOST   "https://bedrock-runtime.eu-west-1.amazonaws.com"
#define BEGIN                                                                                      \
    "Authorization: AWS4-HMAC-SHA256 Credential=" ID                                               \
    "/20250601/eu-west-1/bedrock/aws4_request, SignedHeaders="

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
        cmocka_unit_test(signs_as_aws_does),
        cmocka_unit_test(refuses_what_is_no_url),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
