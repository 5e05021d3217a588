/* Parts of forms in files: what is saved, and that nothing of it is left, neither a descriptor nor
 * a name, whatever goes wrong. */
#include "core/fault.h"
#include "core/offload.h"
#include "core/scope.h"
#include "http/test.h"
#include "tests/support/in_fiber.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PART_BYTES_MAX  400000
#define FILES_BYTES_MAX 700000

/* --- what is left ----------------------------------------------------------------------------- */

static int entries_of(const char *path)
{
    int count = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static int open_files(void)
{
    return entries_of("/proc/self/fd");
}

static char directory[] = "/tmp/brio-part-XXXXXX";

static bool directory_is_empty(void)
{
    return entries_of(directory) == 2;
}

/* --- the app: it runs in this process, so its handlers look for themselves ---------------------
 */

static error check_file(const http_part_file *f)
{
    struct stat st;
    invariant(fstat(f->fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 0);
    invariant((uint64_t)st.st_size == f->bytes && lseek(f->fd, 0, SEEK_CUR) == 0);
    invariant((st.st_mode & 0777) == 0600 && (fcntl(f->fd, F_GETFD) & FD_CLOEXEC));
    invariant(directory_is_empty());
    for (uint64_t at = 0; at < f->bytes; at++) {
        static unsigned char bytes[4096];
        if (at % sizeof bytes == 0)
            invariant(pread(f->fd, bytes, sizeof bytes, (off_t)at) > 0);
        invariant(bytes[at % sizeof bytes] == 'a' + at % 23);
    }
    return OK;
}

/* Saves every part, and answers with their sizes. */
static error save_all(http_request *req, const http_part_file **last)
{
    static http_part_file file;
    const http_multipart_options options = { .files_bytes_max = FILES_BYTES_MAX };
    http_multipart *form;
    buf sizes;
    buf_init_arena(&sizes, http_request_arena(req), 1024);
    TRY(http_multipart_start(req, &options, &form));
    for (http_part part;;) {
        TRY(http_multipart_next(form, &part));
        if (!part.name.ptr)
            break;
        TRY(http_part_save(form, PART_BYTES_MAX, &file));
        TRY(check_file(&file));
        buf_append_format(&sizes, "%llu;", (unsigned long long)file.bytes);
    }
    *last = &file;
    return http_reply_text(req, 200, buf_str(&sizes));
}

static error save(http_request *req)
{
    const http_part_file *last;
    return save_all(req, &last);
}

static error save_and_crash(http_request *req)
{
    const http_part_file *last;
    TRY(save_all(req, &last));
    invariant(fcntl(last->fd, F_GETFD) >= 0);
    (void)raise(SIGSEGV);
    return OK;
}

static error save_and_fail(http_request *req)
{
    const http_part_file *last;
    TRY(save_all(req, &last));
    return error_set(&HTTP_NOT_FOUND, "as asked");
}

static error save_in_scope(void *arg)
{
    http_request *req = arg;
    return save(req);
}

/* A file is its scope's: after it there is none. */
static error save_in_a_scope(http_request *req)
{
    const int before = open_files();
    const scope_options options = { 0 };
    TRY(scope_call(&options, save_in_scope, req));
    invariant(open_files() == before);
    return OK;
}

/* A part that is too large does not keep those behind it from being saved. */
static error save_small_ones(http_request *req)
{
    http_multipart *form;
    buf sizes;
    buf_init_arena(&sizes, http_request_arena(req), 1024);
    TRY(http_multipart_start(req, NULL, &form));
    for (http_part part;;) {
        http_part_file file;
        TRY(http_multipart_next(form, &part));
        if (!part.name.ptr)
            return http_reply_text(req, 200, buf_str(&sizes));
        const error e = http_part_save(form, 300000, &file);
        if (error_is_ok(e))
            TRY(check_file(&file));
        else if (!error_is(e, &HTTP_BODY_TOO_LARGE) || file.fd >= 0)
            return e;
        buf_append_format(&sizes, "%lld;", e.kind ? -1LL : (long long)file.bytes);
    }
}

static sem_t held;

static error wait_on_a_thread(void *arg)
{
    (void)arg;
    while (sem_wait(&held) != 0)
        ;
    return OK;
}

static error hold_a_thread(http_request *req)
{
    TRY(offload(wait_on_a_thread, NULL));
    return http_reply_empty(req, 204);
}

static const http_route ROUTES[] = {
    { HTTP_GET, "/hold", hold_a_thread, http_public },
    { HTTP_POST, "/save", save, http_public, .body_bytes_max = 4 << 20 },
    { HTTP_POST, "/crash", save_and_crash, http_public, .body_bytes_max = 4 << 20 },
    { HTTP_POST, "/fail", save_and_fail, http_public, .body_bytes_max = 4 << 20 },
    { HTTP_POST, "/small", save_small_ones, http_public, .body_bytes_max = 4 << 20 },
    { HTTP_POST, "/scope", save_in_a_scope, http_public, .body_bytes_max = 4 << 20 },
};
static const http_app APP = { .name = "saver", .routes = HTTP_ROUTES(ROUTES) };

/* --- forms ------------------------------------------------------------------------------------ */

#define TYPE STR("Content-Type: multipart/form-data; boundary=b\r\n")

/* A form of files of so many bytes; the sizes end with -1. */
static str form_of(arena *a, const int *sizes)
{
    buf out;
    buf_init_arena(&out, a, 4 << 20);
    for (int i = 0; sizes[i] >= 0; i++) {
        buf_append(&out, STR("--b\r\nContent-Disposition: form-data; name=f; filename=f\r\n\r\n"));
        for (int at = 0; at < sizes[i]; at++)
            buf_append_char(&out, (char)('a' + at % 23));
        buf_append(&out, STR("\r\n"));
    }
    buf_append(&out, STR("--b--\r\n"));
    return buf_str(&out);
}
#define SIZES(...) ((const int[]){ __VA_ARGS__, -1 })

typedef struct saver {
    http_test *app;
    arena memory;
    int open_before;
} saver;

static void open_saver(saver *s, const char *where, bool real_clock)
{
    arena_init(&s->memory, (size_t)64 << 20);
    assert_ok(http_test_open(
        &APP,
        &(http_test_options){ .settings = { { "HTTP_UPLOAD_DIR", where }, { "LOG_LEVEL", "off" } },
                              .real_clock = real_clock },
        &s->app));
    s->open_before = open_files();
}

static void close_saver(saver *s)
{
    assert_int_equal(open_files(), s->open_before);
    assert_true(directory_is_empty());
    assert_ok(http_test_close(&s->app));
    arena_deinit(&s->memory);
}

static void check_save(saver *s, const char *path, const int *sizes, int status)
{
    const http_test_reply r =
        http_test_send(s->app, "POST", path, TYPE, form_of(&s->memory, sizes));
    if (r.status != status)
        print_error("%s: %d\n", path, r.status);
    assert_int_equal(r.status, status);
    assert_int_equal(open_files(), s->open_before);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void test_part_file_has_the_part_and_is_gone_with_the_request(void **state)
{
    (void)state;
    saver s;
    open_saver(&s, directory, false);
    const http_test_reply r =
        http_test_send(s.app, "POST", "/save", TYPE, form_of(&s.memory, SIZES(0, 1, 300000, 5)));
    assert_int_equal(r.status, 200);
    assert_str_equal(r.body, STR("0;1;300000;5;"));
    check_save(&s, "/scope", SIZES(10, 20), 200);
    check_save(&s, "/fail", SIZES(10, 20), 404);
    close_saver(&s);
}

static void test_part_file_without_tmpfile_has_no_name_either(void **state)
{
    (void)state;
    saver s;
    open_saver(&s, directory, false);
    fault_always("http.part_file.tmpfile");
    check_save(&s, "/save", SIZES(0, 100000), 200);
    assert_int_equal(fault_passed("http.part_file.tmpfile"), 2);
    fault_clear();
    close_saver(&s);
}

static void test_part_file_past_a_limit_is_refused(void **state)
{
    (void)state;
    saver s;
    open_saver(&s, directory, false);
    check_save(&s, "/save", SIZES(PART_BYTES_MAX), 200);
    check_save(&s, "/save", SIZES(PART_BYTES_MAX + 1), 413);
    check_save(&s, "/save", SIZES(PART_BYTES_MAX, FILES_BYTES_MAX - PART_BYTES_MAX), 200);
    check_save(&s, "/save", SIZES(PART_BYTES_MAX, FILES_BYTES_MAX - PART_BYTES_MAX + 1), 413);
    const http_test_reply r = http_test_send(s.app, "POST", "/small", TYPE,
                                             form_of(&s.memory, SIZES(5, 300001, 7, 300000)));
    assert_int_equal(r.status, 200);
    assert_str_equal(r.body, STR("5;-1;7;300000;"));
    close_saver(&s);
}

static void test_part_file_on_a_full_disk_is_507_and_leaves_nothing(void **state)
{
    (void)state;
    saver s;
    open_saver(&s, directory, false);
    for (uint32_t write = 1; write <= 4; write++) {
        fault_at("http.part_file.write", write); /* the last one takes two */
        check_save(&s, "/save", SIZES(9, 9, 300000), 507);
        fault_clear();
        check_save(&s, "/save", SIZES(9, 9, 300000), 200);
    }
    close_saver(&s);
}

static bool write_text(const char *path, const char *text)
{
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    const bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return good;
}

/* A file system of 64 KiB in a mount namespace of this process's own; false where that may not be.
 */
static bool mount_small_disk(void)
{
    if (unshare(CLONE_NEWNS) != 0 &&
        (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0 || !write_text("/proc/self/setgroups", "deny")))
        return false;
    return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", directory, "tmpfs", 0, "size=64k") == 0;
}

static void test_part_file_on_a_disk_that_fills_up_is_507_and_frees_it(void **state)
{
    (void)state;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        saver s;
        if (!mount_small_disk())
            _exit(77);
        open_saver(&s, directory, false);
        for (int round = 0; round < 3; round++) {
            check_save(&s, "/save", SIZES(40000), 200);
            check_save(&s, "/save", SIZES(40000, 200000), 507);
        }
        close_saver(&s);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        print_message("no mounts here: a full disk is only feigned, by the test before\n");
    else
        assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_part_file_without_a_descriptor_or_directory_fails_cleanly(void **state)
{
    (void)state;
    saver s;
    struct rlimit before, few;
    open_saver(&s, directory, false);
    check_save(&s, "/save", SIZES(1), 200); /* its threads are there now */
    const int next = dup(0);
    assert_true(next > 0 && close(next) == 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = (rlim_t)next;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    const http_test_reply r =
        http_test_send(s.app, "POST", "/save", TYPE, form_of(&s.memory, SIZES(1)));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(r.status, 503);
    close_saver(&s);
    open_saver(&s, "/nonexistent", false);
    check_save(&s, "/save", SIZES(1), 500);
    close_saver(&s);
}

static void test_part_file_of_a_handler_that_crashes_is_closed(void **state)
{
    (void)state;
    saver s;
    open_saver(&s, directory, false);
    check_save(&s, "/crash", SIZES(1, 2), 500);
    close_saver(&s);
}

/* The upload is broken off in the middle of the second file. */
static void test_part_file_of_a_client_that_leaves_is_closed(void **state)
{
    (void)state;
    saver s;
    open_saver(&s, directory, false);
    http_test_conn *c = http_test_connect(s.app);
    http_test_write(c, STR("POST /save HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n"));
    http_test_write(c, TYPE);
    http_test_write(c, STR("\r\n"));
    const str form = form_of(&s.memory, SIZES(1000, 390000));
    http_test_write(c, str_slice(form, 0, 380000));
    for (int i = 0; i < 10000 && open_files() < s.open_before + 2; i++)
        (void)http_test_get(s.app, "/nothing"); /* threads go on meanwhile */
    assert_int_equal(open_files(), s.open_before + 2);
    http_test_reset(c);
    http_test_disconnect(&c);
    for (int i = 0; i < 10000 && open_files() > s.open_before; i++)
        (void)http_test_get(s.app, "/nothing");
    close_saver(&s);
}

/* Both threads are taken, and more clients come than their queue holds: all wait their turn. */
static void test_part_files_of_many_clients_wait_for_a_thread(void **state)
{
    (void)state;
    enum {
        SAVERS = OFFLOAD_QUEUE_MAX + 50,
        CLIENTS = OFFLOAD_THREADS + SAVERS
    };
    static http_test_conn *clients[CLIENTS];
    saver s;
    assert_int_equal(sem_init(&held, 0, 0), 0);
    open_saver(&s, directory, true);
    const str form = form_of(&s.memory, SIZES(3000));
    for (int i = 0; i < CLIENTS; i++) {
        const bool holds = i < OFFLOAD_THREADS;
        clients[i] = http_test_connect(s.app);
        assert_non_null(clients[i]);
        http_test_request(clients[i], holds ? "GET" : "POST", holds ? "/hold" : "/save",
                          holds ? STR_NONE : TYPE, holds ? STR_NONE : form);
    }
    for (int i = 0; i < OFFLOAD_THREADS; i++)
        sem_post(&held);
    for (int i = 0; i < CLIENTS; i++) {
        const http_test_reply r = http_test_read(clients[i]);
        assert_int_equal(r.status, i < OFFLOAD_THREADS ? 204 : 200);
        http_test_disconnect(&clients[i]);
    }
    close_saver(&s);
    sem_destroy(&held);
}

static int make_directory(void **state)
{
    (void)state;
    return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
    (void)state;
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_part_file_has_the_part_and_is_gone_with_the_request),
        cmocka_unit_test(test_part_file_without_tmpfile_has_no_name_either),
        cmocka_unit_test(test_part_file_past_a_limit_is_refused),
        cmocka_unit_test(test_part_file_on_a_full_disk_is_507_and_leaves_nothing),
        cmocka_unit_test(test_part_file_on_a_disk_that_fills_up_is_507_and_frees_it),
        cmocka_unit_test(test_part_file_without_a_descriptor_or_directory_fails_cleanly),
        cmocka_unit_test(test_part_file_of_a_handler_that_crashes_is_closed),
        cmocka_unit_test(test_part_file_of_a_client_that_leaves_is_closed),
        cmocka_unit_test(test_part_files_of_many_clients_wait_for_a_thread),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
