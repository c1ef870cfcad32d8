/* A state directory on a file system that has stopped answering: calls on it never return.
 *
 * Loaded with LD_PRELOAD. Opening, or making a folder, under the path prefix STUCK_PATH waits for ever; with
 * STUCK_FSYNC set every fsync does, and listing a folder under the path prefix STUCK_SCAN. With SLOW_FSYNC_SECONDS every
 * fsync takes so long. Everything else goes to the C library.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void stick_under(const char *prefix, const char *path) {
    if (prefix && path && strncmp(path, prefix, strlen(prefix)) == 0)
        for (;;)
            pause();
}

static void stick_on(const char *path) { stick_under(getenv("STUCK_PATH"), path); }

static mode_t mode_of(int flags, va_list arguments) {
    return (flags & (O_CREAT | O_TMPFILE)) ? va_arg(arguments, mode_t) : 0;
}

#define OPENS(name)                                                                                                    \
    int name(const char *path, int flags, ...) {                                                                       \
        va_list arguments;                                                                                             \
        va_start(arguments, flags);                                                                                    \
        mode_t mode = mode_of(flags, arguments);                                                                       \
        va_end(arguments);                                                                                             \
        stick_on(path);                                                                                                \
        int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name);                \
        return real(path, flags, mode);                                                                                \
    }

OPENS(open)
OPENS(open64)

int mkdir(const char *path, mode_t mode) {
    stick_on(path);
    return ((int (*)(const char *, mode_t))dlsym(RTLD_NEXT, "mkdir"))(path, mode);
}

int fsync(int descriptor) {
    if (getenv("STUCK_FSYNC"))
        for (;;)
            pause();
    const char *slow = getenv("SLOW_FSYNC_SECONDS");
    if (slow) {
        struct timespec left = {atol(slow), 0};
        while (nanosleep(&left, &left) != 0)
            ;
    }
    return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(descriptor);
}

DIR *opendir(const char *path) {
    stick_under(getenv("STUCK_SCAN"), path);
    return ((DIR *(*)(const char *))dlsym(RTLD_NEXT, "opendir"))(path);
}
