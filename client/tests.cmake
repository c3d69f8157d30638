# The unit tests of the client, included by tests/unit. They link the library's own objects, so that hidden functions are
# reachable.
set(client_tests ${PROJECT_SOURCE_DIR}/tests/unit)

function(ration_client_test name)
  add_executable(test-client-${name} ${client_tests}/test_client_${name}.c ${ARGN})
  target_compile_definitions(test-client-${name} PRIVATE _GNU_SOURCE)
  target_include_directories(test-client-${name} PRIVATE ${PROJECT_SOURCE_DIR}/client)
  target_link_libraries(test-client-${name} PRIVATE ration_static PkgConfig::CMOCKA PkgConfig::JSONC Threads::Threads)
  add_test(NAME client-${name} COMMAND test-client-${name})
  set_tests_properties(client-${name} PROPERTIES TIMEOUT 120)
endfunction()

ration_client_test(addr)
ration_client_test(id)
ration_client_test(grow)
ration_client_test(conn ${client_tests}/test_client_peer.c)
ration_client_test(wait)
ration_client_test(call_options)
ration_client_test(jtext)
ration_client_test(sigv4)
ration_client_test(media)
ration_client_test(profile)
ration_client_test(profile_key)
ration_client_test(profile_request)
ration_client_test(profile_usage)
ration_client_test(profile_limits)
ration_client_test(sse)
ration_client_test(events)
ration_client_test(reply)
ration_client_test(retry)
ration_client_test(operations ${client_tests}/test_client_peer.c)
ration_client_test(upstream ${client_tests}/test_client_peer.c ${client_tests}/test_client_fixture.c)
ration_client_test(retries ${client_tests}/test_client_peer.c ${client_tests}/test_client_fixture.c)
ration_client_test(stream ${client_tests}/test_client_peer.c ${client_tests}/test_client_fixture.c)
ration_client_test(answer ${client_tests}/test_client_peer.c ${client_tests}/test_client_fixture.c)
ration_client_test(proof ${client_tests}/test_client_peer.c ${client_tests}/test_client_fixture.c)
ration_client_test(alloc ${client_tests}/test_client_peer.c)

target_link_options(test-client-grow PRIVATE -Wl,--wrap=realloc)

# The walk over the allocations: those of the library's own code are led to the test by the linker.
target_link_options(test-client-alloc PRIVATE
                    -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=strdup -Wl,--wrap=strndup)
target_link_libraries(test-client-alloc PRIVATE PkgConfig::CRYPTO)

# Parts of the tool that can be tested without a server.
set(tool ${PROJECT_SOURCE_DIR}/client/tool)
ration_client_test(bench ${tool}/bench/draw.c ${tool}/bench/hist.c ${tool}/bench/wire.c)
target_link_libraries(test-client-bench PRIVATE m)
ration_client_test(batch ${tool}/batch/batch.c ${tool}/batch/form.c ${tool}/batch/input.c ${tool}/batch/journal.c
                   ${tool}/batch/json.c ${tool}/batch/result.c ${tool}/batch/spool.c ${tool}/object.c)
