/* Certificates and keys for tests, made anew in a directory of their own by each program that needs
 * some, and removed by it: no key is ever kept. */
#ifndef TESTS_SUPPORT_TLS_FILES_H
#define TESTS_SUPPORT_TLS_FILES_H

#include "core/str.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TLS_DAY_SECONDS 86400L

/* What a certificate says; it is written to NAME.pem, with its key behind it. */
typedef struct tls_file {
    const char *name;
    const char *subject; /* the CN */
    const char *issuer;  /* of these, an earlier one; NULL: itself */
    const char *names;   /* subjectAltName; NULL: none */
    const char *usage;   /* extendedKeyUsage; NULL: an authority */
    long days;           /* until it ends; negative: it has */
    int key_type;        /* EVP_PKEY_EC, EVP_PKEY_RSA, EVP_PKEY_RSA_PSS, EVP_PKEY_ED25519 */
    const char *hash;    /* of the issuer's signature; NULL for Ed25519 */
} tls_file;

static const tls_file TLS_FILES[] = {
    { "ca", "Test CA", NULL, NULL, NULL, 2, EVP_PKEY_EC, "SHA256" },
    { "foreign-ca", "Foreign CA", NULL, NULL, NULL, 2, EVP_PKEY_EC, "SHA256" },
    { "server", "localhost", "ca", "DNS:localhost,IP:127.0.0.1", "serverAuth", 2, EVP_PKEY_EC,
      "SHA256" },
    { "rsa", "rsa.test", "ca", "DNS:rsa.test", "serverAuth", 2, EVP_PKEY_RSA, "SHA384" },
    { "wild", "wild.test", "ca", "DNS:*.wild.test", "serverAuth", 2, EVP_PKEY_EC, "SHA256" },
    { "expired", "localhost", "ca", "DNS:localhost", "serverAuth", -1, EVP_PKEY_EC, "SHA256" },
    { "self", "localhost", NULL, "DNS:localhost", "serverAuth", 2, EVP_PKEY_EC, "SHA256" },
    { "ed25519", "localhost", NULL, "DNS:localhost", "serverAuth", 2, EVP_PKEY_ED25519, NULL },
    { "pss", "localhost", NULL, "DNS:localhost", "serverAuth", 2, EVP_PKEY_RSA_PSS, "SHA512" },
    { "client", "ada", "ca", NULL, "clientAuth", 2, EVP_PKEY_EC, "SHA256" },
    { "foreign-client", "eve", "foreign-ca", NULL, "clientAuth", 2, EVP_PKEY_EC, "SHA256" },
};

/* The directory; made by tls_files_make. */
static char tls_files_directory[64];

/* The path of NAME.pem; each result lasts for eight more calls. */
static inline const char *tls_file_path(const char *name)
{
    static char paths[8][128];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s.pem", tls_files_directory, name);
    return path;
}

static inline EVP_PKEY *tls_files_pss_key(void)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, "RSA-PSS", NULL);
    const bool made = c && EVP_PKEY_keygen_init(c) == 1 &&
                      EVP_PKEY_CTX_set_rsa_keygen_bits(c, 2048) == 1 &&
                      EVP_PKEY_generate(c, &key) == 1;
    EVP_PKEY_CTX_free(c);
    return made ? key : NULL;
}

static inline EVP_PKEY *tls_files_key(int type)
{
    if (type == EVP_PKEY_EC)
        return EVP_EC_gen("P-256");
    if (type == EVP_PKEY_RSA)
        return EVP_RSA_gen(2048);
    if (type == EVP_PKEY_RSA_PSS)
        return tls_files_pss_key();
    return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
}

static inline bool tls_files_extend(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    const bool added = extension && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

static inline X509 *tls_files_certificate(const tls_file *file, EVP_PKEY *key, X509 *issuer,
                                          EVP_PKEY *issuer_key)
{
    static long serial = 1000;
    X509 *c = X509_new();
    X509_NAME *subject = X509_get_subject_name(c);
    bool made = X509_set_version(c, 2) && ASN1_INTEGER_set(X509_get_serialNumber(c), serial++) &&
                X509_gmtime_adj(X509_getm_notBefore(c), -30 * TLS_DAY_SECONDS) &&
                X509_gmtime_adj(X509_getm_notAfter(c), file->days * TLS_DAY_SECONDS) &&
                X509_set_pubkey(c, key) &&
                X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_ASC,
                                           (const unsigned char *)"Brio tests", -1, -1, 0) &&
                X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                                           (const unsigned char *)file->subject, -1, -1, 0) &&
                X509_set_issuer_name(c, issuer ? X509_get_subject_name(issuer) : subject);
    X509 *signer = issuer ? issuer : c;
    if (file->usage)
        made = made && tls_files_extend(c, signer, NID_basic_constraints, "critical,CA:FALSE") &&
               tls_files_extend(c, signer, NID_ext_key_usage, file->usage);
    else
        made = made && tls_files_extend(c, signer, NID_basic_constraints, "critical,CA:TRUE") &&
               tls_files_extend(c, signer, NID_key_usage, "critical,keyCertSign,cRLSign");
    if (file->names)
        made = made && tls_files_extend(c, signer, NID_subject_alt_name, file->names);
    const EVP_MD *hash = file->hash ? EVP_get_digestbyname(file->hash) : NULL;
    made = made && X509_sign(c, issuer_key, hash) > 0;
    invariant(made);
    return c;
}

/* Makes all of them; false with a word on standard error when the directory cannot be written. */
static inline bool tls_files_make(void)
{
    enum {
        COUNT = ARRAY_LEN(TLS_FILES)
    };
    X509 *certificates[COUNT];
    EVP_PKEY *keys[COUNT];
    bool made = true;
    snprintf(tls_files_directory, sizeof tls_files_directory, "/tmp/brio-tls-XXXXXX");
    if (!mkdtemp(tls_files_directory)) {
        perror(tls_files_directory);
        return false;
    }
    for (size_t i = 0; i < COUNT; i++) {
        const tls_file *file = &TLS_FILES[i];
        size_t issuer = 0;
        while (file->issuer && strcmp(TLS_FILES[issuer].name, file->issuer) != 0)
            issuer++;
        keys[i] = tls_files_key(file->key_type);
        invariant(keys[i]);
        certificates[i] =
            tls_files_certificate(file, keys[i], file->issuer ? certificates[issuer] : NULL,
                                  keys[file->issuer ? issuer : i]);
        FILE *f = fopen(tls_file_path(file->name), "w");
        made = made && f && PEM_write_X509(f, certificates[i]) &&
               PEM_write_PrivateKey(f, keys[i], NULL, NULL, 0, NULL, NULL);
        if (f)
            fclose(f);
    }
    for (size_t i = 0; i < COUNT; i++) {
        X509_free(certificates[i]);
        EVP_PKEY_free(keys[i]);
    }
    return made;
}

static inline void tls_files_remove(void)
{
    for (size_t i = 0; i < ARRAY_LEN(TLS_FILES); i++)
        unlink(tls_file_path(TLS_FILES[i].name));
    rmdir(tls_files_directory);
}

/* NAME.pem as a slice for options; the same lifetime. */
static inline str tls_file_name(const char *name)
{
    return str_from_c(tls_file_path(name));
}

#endif
