/* SPDX-License-Identifier: ISC
 * See pg_scram.h.
 */
#include "config.h"

#include "proto/pg/pg_scram.h"
