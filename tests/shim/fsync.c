/* Stands in front of fsync and fdatasync, and does what the file $FLK_SHIM says:
 *   fail    they fail with EIO, as a dying disk makes them
 *   stall   they wait until the file says something else, as a hanging disk makes them; that they
 *           do so is told by a file of that name with ".stalled" behind it
 *   (none)  they do what they always do
 * Each one that succeeds is told as a line of the file $FLK_SYNCED: the size that the synced file
 * had, and its path. What lies beyond that size would not survive a loss of power.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char word(void)
{
    const char *path = getenv("FLK_SHIM");
    char first = 0;
    int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return 0;
    if (read(fd, &first, 1) != 1)
        first = 0;
    close(fd);
    return first;
}

static void tell_stalled(void)
{
    char path[4096];
    int length = snprintf(path, sizeof path, "%s.stalled", getenv("FLK_SHIM"));
    if (length > 0 && (size_t)length < sizeof path)
        close((int)syscall(SYS_openat, AT_FDCWD, path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

static void tell_synced(int fd, long long size)
{
    char link[64], path[4096], line[4200];
    const char *told = getenv("FLK_SYNCED");
    if (!told || size < 0)
        return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return;
    path[length] = 0;
    int written = snprintf(line, sizeof line, "%lld %s\n", size, path);
    int out = (int)syscall(SYS_openat, AT_FDCWD, told, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    if (out < 0)
        abort();
    if (write(out, line, (size_t)written) != written)
        abort();
    close(out);
}

static int sync_as_told(long number, int fd)
{
    while (word() == 's') {
        tell_stalled();
        usleep(1000);
    }
    if (word() == 'f') {
        errno = EIO;
        return -1;
    }
    /* Before: what is written meanwhile may not be covered. */
    struct stat before;
    long long size = fstat(fd, &before) == 0 ? (long long)before.st_size : -1;
    int result = (int)syscall(number, fd);
    if (result == 0)
        tell_synced(fd, size);
    return result;
}

int fsync(int fd) { return sync_as_told(SYS_fsync, fd); }
int fdatasync(int fd) { return sync_as_told(SYS_fdatasync, fd); }
