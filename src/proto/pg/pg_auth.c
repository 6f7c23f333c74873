/* SPDX-License-Identifier: ISC
 * See pg_auth.h.
 */
#include "config.h"

#include "proto/pg/pg_auth.h"
