/* SPDX-License-Identifier: ISC
 * See pg_startup.h.
 */
#include "config.h"

#include "proto/pg/pg_startup.h"
