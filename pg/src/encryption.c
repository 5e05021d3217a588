/* TLS as libpq's sslmode has it: below verify-ca the server's certificate is checked only if there
 * are roots to check it with, by verify-full its name too.
 *
 * A private key that others than its owner can read is refused, as its use proves nothing; one that
 * root owns may be readable by a group, for certificates of the system. */
#include "encryption.h"

#include "hooks.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 1024

static bool has_tcp(const pg_conninfo *info)
{
    for (size_t i = 0; i < info->host_count; i++) {
        if (!pg_host_is_unix(&info->hosts[i]))
            return true;
    }
    return false;
}

static error check_key(str file)
{
    char path[PATH_BYTES];
    struct stat facts;
    if (file.len >= sizeof path)
        return error_set(&PG_CONNINFO_INVALID, "sslkey: the path is too long");
    memcpy(path, file.ptr, file.len);
    path[file.len] = '\0';
    if (stat(path, &facts) != 0)
        return error_set_errno(&PG_CONNINFO_INVALID, errno, "the private key %s", path);
    const mode_t exposed = facts.st_uid == 0 ? S_IWGRP | S_IXGRP | S_IRWXO : S_IRWXG | S_IRWXO;
    if (!S_ISREG(facts.st_mode) || (facts.st_mode & exposed) != 0)
        return error_set(&PG_CONNINFO_INVALID,
                         "the private key %s: it must be a plain file that only its owner can read "
                         "(chmod 600)",
                         path);
    return OK;
}

/* The key's own password, or what the program knows. */
static error find_key(const pg_ssl *ssl, const pg_hooks *hooks, str *password)
{
    const str file = ssl->key_file.len > 0 ? ssl->key_file : ssl->cert_file;
    *password = ssl->key_password;
    TRY(check_key(file));
    return hooks && password->len == 0 ? pg_hooks_key_password(hooks, file, password) : OK;
}

error pg_encryption_config(const pg_conninfo *info, const pg_hooks *hooks, tls_config **out)
{
    const pg_ssl *ssl = &info->ssl;
    *out = NULL;
    if (ssl->mode == PG_SSLMODE_DISABLE || !has_tcp(info))
        return OK;
    str key_password = STR_NONE;
    if (ssl->cert_file.len > 0)
        TRY(find_key(ssl, hooks, &key_password));
    const bool has_roots = ssl->root_file.len > 0;
    tls_client_options options = {
        .verify = ssl->mode == PG_SSLMODE_VERIFY_FULL ? TLS_VERIFY_FULL
                  : has_roots                         ? TLS_VERIFY_CHAIN
                                                      : TLS_VERIFY_NONE,
        .ca_file = str_eq(ssl->root_file, STR(PG_SYSTEM_CAS)) ? STR_NONE : ssl->root_file,
        .crl_file = ssl->crl_file,
        .crl_directory = ssl->crl_directory,
        .certificate = { ssl->cert_file, ssl->key_file, key_password },
        .alpn = STR(PG_ALPN),
        .without_sni = ssl->without_sni,
        .without_1_3 = ssl->without_1_3,
        .version_min = ssl->only_1_3 ? TLS_VERSION_1_3 : TLS_VERSION_1_2,
    };
    const error e = tls_config_client(&options, out);
    return error_is(e, &TLS_MISCONFIGURED) ? error_wrap(e, &PG_CONNINFO_INVALID, "sslmode") : e;
}
