/* SPDX-License-Identifier: ISC
 * See pg_scram_client.h.
 */
#include "config.h"

#include "proto/pg/pg_scram_client.h"
