/* Answers of a server and of a provider, as the client's tests need them. */
#ifndef TEST_CLIENT_REPLIES_H
#define TEST_CLIENT_REPLIES_H

#define REPLY_GRANTED                                                                              \
    "*10\r\n$6\r\nstatus\r\n$7\r\ngranted\r\n$2\r\nid\r\n$2\r\nme\r\n$14\r\nretry_after_ms\r\n:"   \
    "0\r\n"                                                                                        \
    "$10\r\nlimited_by\r\n$0\r\n\r\n$4\r\nmode\r\n$5\r\nexact\r\n"
#define REPLY_LONG_MODE                                                                            \
    "*10\r\n$6\r\nstatus\r\n$7\r\ngranted\r\n$2\r\nid\r\n$0\r\n\r\n$14\r\nretry_after_ms\r\n:"     \
    "0\r\n"                                                                                        \
    "$10\r\nlimited_by\r\n$0\r\n\r\n$4\r\nmode\r\n$8\r\nmuch too\r\n"
#define REPLY_DENIED                                                                               \
    "*10\r\n$6\r\nstatus\r\n$6\r\ndenied\r\n$2\r\nid\r\n$2\r\nme\r\n$14\r\nretry_after_ms\r\n:"    \
    "30\r\n"                                                                                       \
    "$10\r\nlimited_by\r\n$20\r\npool:p tokens/minute\r\n$4\r\nmode\r\n$5\r\nexact\r\n"
#define REPLY_SETTLED "*2\r\n$6\r\nstatus\r\n$7\r\nsettled\r\n"
#define REPLY_PEEK                                                                                 \
    "*1\r\n*12\r\n$5\r\nscope\r\n$6\r\npool:p\r\n$4\r\nunit\r\n$6\r\ntokens\r\n$3\r\nper\r\n$"     \
    "6\r\nminute\r\n"                                                                              \
    "$5\r\nlimit\r\n:100\r\n$9\r\nremaining\r\n:-7\r\n$8\r\nreset_ms\r\n:500\r\n"
#define REPLY_AUDIT                                                                                \
    "*6\r\n$5\r\naudit\r\n$0\r\n\r\n$7\r\npercent\r\n:100\r\n$4\r\nrows\r\n" AUDIT_ROWS
/* Half done, then a first part of the rows. */
#define REPLY_AUDIT_HALF                                                                           \
    "*6\r\n$5\r\naudit\r\n$2\r\na1\r\n$7\r\npercent\r\n:50\r\n$4\r\nrows\r\n*0\r\n"
#define REPLY_AUDIT_PART                                                                           \
    "*6\r\n$5\r\naudit\r\n$2\r\na1\r\n$7\r\npercent\r\n:100\r\n$4\r\nrows\r\n" AUDIT_ROWS
#define AUDIT_ROWS                                                                                 \
    "*1\r\n*20\r\n$4\r\npool\r\n$1\r\np\r\n$4\r\nunit\r\n$6\r\ntokens\r\n$7\r\ngranted\r\n:10\r\n" \
    "$8\r\nreported\r\n:4\r\n$11\r\noutstanding\r\n:3\r\n$7\r\nexpired\r\n:2\r\n$"                 \
    "9\r\ncancelled\r\n:1\r\n"                                                                     \
    "$4\r\nused\r\n:5\r\n$7\r\nscanned\r\n:-1\r\n$8\r\nbalanced\r\n:1\r\n"

#define HTTP_ANSWER                                                                                \
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 94\r\n\r\n"              \
    "{\"choices\":[{\"text\":\"\"}],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,"      \
    "\"total_tokens\":"                                                                            \
    "15}}"
#define HTTP_ANSWER_TEXT                                                                           \
    "HTTP/1.1 200 OK\r\nContent-Length: "                                                          \
    "114\r\n\r\n{\"choices\":[{\"message\":{\"content\":\"Hello\"}}],\"usage\":{\"prompt_"         \
    "tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}}"
#define HTTP_CONVERSE                                                                              \
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 86\r\n\r\n"              \
    "{\"output\":{\"message\":{}},\"usage\":{\"inputTokens\":10,\"outputTokens\":5,"               \
    "\"totalTokens\":15}}"
#define HTTP_NO_USAGE "HTTP/1.1 200 OK\r\nContent-Length: 25\r\n\r\n{\"choices\":[{\"text\":\"\"}]}"
#define HTTP_429      "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 2\r\nContent-Length: 2\r\n\r\n{}"
#define HTTP_429_MS                                                                                \
    "HTTP/1.1 429 Too Many Requests\r\nRetry-After-Ms: 1234\r\nRetry-After: 2\r\n"                 \
    "Content-Length: 2\r\n\r\n{}"
/* The error is as OpenAI's and Anthropic's references of error codes show it, the headers as their
 * rate limit guides do. */
#define HTTP_EXHAUSTED                                                                             \
    "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 61\r\n\r\n"                                 \
    "{\"error\":{\"code\":\"insufficient_quota\",\"message\":\"no credit\"}}"
#define HTTP_EVENTS                                                                                \
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 129\r\n\r\n"            \
    "data: "                                                                                       \
    "{\"choices\":[{\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":10,\"completion_"    \
    "tokens\":5,\"total_tokens\":15}}\n\n"                                                         \
    "data: [DONE]\n\n"
#define HTTP_529 "HTTP/1.1 529 Overloaded\r\nContent-Length: 2\r\n\r\n{}"
#define HTTP_400 "HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\n{}"
#define HTTP_400_AGAIN                                                                             \
    "HTTP/1.1 400 Bad Request\r\nX-Should-Retry: true\r\nContent-Length: 2\r\n\r\n{}"
#define HTTP_429_NOT_AGAIN                                                                         \
    "HTTP/1.1 429 Too Many Requests\r\nx-should-retry: false\r\nretry-after: 7\r\n"                \
    "Content-Length: 2\r\n\r\n{}"
#define HTTP_CUT_NOT_AGAIN                                                                         \
    "HTTP/1.1 200 OK\r\nx-should-retry: false\r\nContent-Length: 5000\r\n\r\n{\"usage\":"
#define HTTP_503_AT_ONCE                                                                           \
    "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 2\r\n\r\n{}"
#define HTTP_500_LONG_AGO                                                                          \
    "HTTP/1.1 500 Internal Server Error\r\nRetry-After: Sun, 01 Jun 2025 12:00:00 GMT\r\n"         \
    "Content-Length: 2\r\n\r\n{}"
#define HTTP_429_IN_A_YEAR                                                                         \
    "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 31536000\r\nContent-Length: 2\r\n\r\n{}"
#define HTTP_429_SHORT                                                                             \
    "HTTP/1.1 429 Too Many Requests\r\nRetry-After-Ms: 30\r\nContent-Length: 2\r\n\r\n{}"
#define HTTP_SEEN                                                                                  \
    "HTTP/1.1 200 OK\r\nx-ratelimit-limit-requests: 500\r\nx-ratelimit-remaining-requests: "       \
    "499\r\nx-ratelimit-reset-requests: 120ms\r\nx-ratelimit-limit-tokens: 30000\r\n"              \
    "x-ratelimit-remaining-tokens: 29000\r\nContent-Length: 94\r\n\r\n"                            \
    "{\"choices\":[{\"text\":\"\"}],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,"      \
    "\"total_tokens\":"                                                                            \
    "15}}"
#define HTTP_CUT "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{\"usage\":"

#endif
