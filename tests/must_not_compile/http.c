/*
 * http -- the mistakes in routes, bodies and answers that a compiler must find.
 *
 * Each WRONG_… is one mistake; without any of them the file is a right program.
 */
#include "http/http.h"

#define CAT_FIELDS(F) F(name, text) F(lives, int4)
SHAPE(cat, CAT_FIELDS)

#define DOG_FIELDS(F) F(name, text)
SHAPE(dog, DOG_FIELDS)

HTTP_VALUE(the_cat, cat);
HTTP_VALUE(the_fixed, const cat);

int handler_of_another_kind(http_request *req);
error right(http_request *req);
error wrong(http_request *req);
int start(int argc, char **argv);

HTTP_CONSTANT(tom, .content_type = "text/plain", .fields = { { "X-Lives", "9" } }, .tagged = true,
              .body = STR("Tom"));

error right(http_request *req)
{
    HTTP_CONSTANT(nobody, .status = 404, .body = STR("nobody"));
    cat c;
    const cat fixed = { .name = STR("Tom"), .lives = 9 };
    cat_page page = { 0 };
    the_cat_set(req, &c);
    the_fixed_set(req, &fixed);
    cat *found = the_cat(req);
    const cat *found_fixed = the_fixed(req);
    (void)found, (void)found_fixed;
    TRY(http_body(req, cat, &c));
    TRY(http_reply(req, 200, cat, &fixed));
    TRY(http_reply(req, 200, cat, &c));
    TRY(http_reply_constant(req, c.lives ? &tom : &nobody));
    return http_reply_page(req, cat, &page);
}

error wrong(http_request *req)
{
    cat c = { 0 };
    dog d = { 0 };
    cat_page cats = { 0 };
    dog_page dogs = { 0 };
    (void)c, (void)d, (void)cats, (void)dogs;
#ifdef WRONG_BODY
    TRY(http_body(req, cat, &d));
#endif
#ifdef WRONG_BODY_VALUE
    TRY(http_body(req, cat, c));
#endif
#ifdef WRONG_BODY_CONSTANT
    TRY(http_body(req, cat, &(const cat){ 0 }));
#endif
#ifdef WRONG_REPLY
    TRY(http_reply(req, 200, cat, &d));
#endif
#ifdef WRONG_REPLY_OF_A_PAGE
    TRY(http_reply(req, 200, cat, &cats));
#endif
#ifdef WRONG_PAGE
    TRY(http_reply_page(req, cat, &dogs));
#endif
#ifdef WRONG_SHAPE
    TRY(http_reply(req, 200, cow, &c));
#endif
#ifdef WRONG_LITERAL
    TRY(http_reply_text(req, 200, "text"));
#endif
#ifdef WRONG_VALUE_SET
    the_cat_set(req, &d);
#endif
#ifdef WRONG_VALUE_SET_BY_VALUE
    the_cat_set(req, c);
#endif
#ifdef WRONG_VALUE_FOUND
    dog *found = the_cat(req);
    (void)found;
#endif
#ifdef WRONG_VALUE_NAME
    the_cow_set(req, &c);
#endif
#ifdef WRONG_CONSTANT_OF_A_REQUEST
    HTTP_CONSTANT(echo, .body = http_request_path(req));
    TRY(http_reply_constant(req, &echo));
#endif
#ifdef WRONG_CONSTANT_OF_A_VALUE
    HTTP_CONSTANT(lives, .status = c.lives, .body = STR("lives"));
    TRY(http_reply_constant(req, &lives));
#endif
#ifdef WRONG_CONSTANT_IS_ANOTHER
    TRY(http_reply_constant(req, &c));
#endif
#ifdef WRONG_UNREAD
    http_reply(req, 200, cat, &c);
#endif
    return http_reply_empty(req, 204);
}

static const http_route routes[] = {
    { HTTP_GET, "/cat", right, http_public, .reply = SHAPE_OF(cat) },
#ifdef WRONG_HANDLER
    { HTTP_GET, "/dog", handler_of_another_kind, http_public },
#endif
#ifdef WRONG_ROUTE_SHAPE
    { HTTP_GET, "/cow", right, http_public, .reply = SHAPE_OF(cow) },
#endif
};

int start(int argc, char **argv)
{
    return http_main(argc, argv, &(http_app){ .name = "cats", .routes = HTTP_ROUTES(routes) });
}
