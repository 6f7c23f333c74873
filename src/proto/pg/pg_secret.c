/* SPDX-License-Identifier: ISC
 * See pg_secret.h.
 */
#include "config.h"

#include "proto/pg/pg_secret.h"
