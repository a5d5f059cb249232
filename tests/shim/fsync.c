/* Stands in front of fsync and fdatasync, and does what the file $FLK_SHIM says:
 *   fail    they fail with EIO, as a dying disk makes them
 *   stall   they wait until the file says something else, as a hanging disk makes them; that they
 *           do so is told by a file of that name with ".stalled" behind it
 *   (none)  they do what they always do
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
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
    return (int)syscall(number, fd);
}

int fsync(int fd) { return sync_as_told(SYS_fsync, fd); }
int fdatasync(int fd) { return sync_as_told(SYS_fdatasync, fd); }
