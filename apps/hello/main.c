/* hello's program. */
#include "hello.h"

int main(int argc, char **argv)
{
    return http_main(argc, argv, &hello_app);
}
