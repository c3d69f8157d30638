/* A file that can be read more than once: a pipe is first copied to a file without a name in
 * TMPDIR. */
#ifndef RATION_TOOL_BATCH_SPOOL_H
#define RATION_TOOL_BATCH_SPOOL_H

/* Opens *name, "-" being stdin, which *name then says for messages. -1 after saying why. */
int batch_spool_open(const char **name);

#endif
