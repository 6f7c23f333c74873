/* SPDX-License-Identifier: ISC */
#include "config.h"

#include "worker/worker_priv.h"

void view_on_mail(struct worker *w, struct mail *m)
{
    (void)w;
    (void)m;
}

void order_on_mail(struct worker *w, struct mail *m)
{
    (void)w;
    (void)m;
}
