/* `ration presets --from-openai`: the limits of a project, as OpenAI shows them to
 * administrators. */
#ifndef RATION_TOOL_PRESETS_OPENAI_H
#define RATION_TOOL_PRESETS_OPENAI_H

#include "tool/session.h"

#define PRESETS_OPENAI_URL "https://api.openai.com"
#define PRESETS_OPENAI_KEY "OPENAI_ADMIN_KEY"

/*
 * Reads all limits of the project and prints a configuration with a pool for each model. `url` is
 * what precedes /v1/organization. Prints nothing unless everything was read. Gives an exit code,
 * after saying why if it failed.
 */
int presets_openai(const struct session *session, const char *url, const char *project);

#endif
