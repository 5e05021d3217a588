/* The SQLSTATEs that PostgreSQL knows, by their names in its manual (Appendix A, "PostgreSQL Error
 * Codes"): for code that has to tell errors apart which share a kind of pg/error.h.
 *
 *   const error e = pg_execute(db, NULL, "alter table notes add column due date");
 *   if (pg_sqlstate_of(e) == PG_SQLSTATE_DUPLICATE_COLUMN)
 *       return OK;
 *   if (pg_error_in_class(e, "53"))   // the server is short of something
 *       return try_later();
 *
 * Made by tools/make_sqlstates.py. */
#ifndef PG_SQLSTATE_H
#define PG_SQLSTATE_H

#include "pg/error.h"

/* X(name, code, name in text), in the order of the codes. */
// clang-format off
#define PG_SQLSTATES(X) \
    X(SUCCESSFUL_COMPLETION, "00000", "successful_completion") \
    X(WARNING, "01000", "warning") \
    X(NULL_VALUE_ELIMINATED_IN_SET_FUNCTION, "01003", "null_value_eliminated_in_set_function") \
    X(WARNING_STRING_DATA_RIGHT_TRUNCATION, "01004", "string_data_right_truncation") \
    X(PRIVILEGE_NOT_REVOKED, "01006", "privilege_not_revoked") \
    X(PRIVILEGE_NOT_GRANTED, "01007", "privilege_not_granted") \
    X(IMPLICIT_ZERO_BIT_PADDING, "01008", "implicit_zero_bit_padding") \
    X(DYNAMIC_RESULT_SETS_RETURNED, "0100C", "dynamic_result_sets_returned") \
    X(DEPRECATED_FEATURE, "01P01", "deprecated_feature") \
    X(NO_DATA, "02000", "no_data") \
    X(NO_ADDITIONAL_DYNAMIC_RESULT_SETS_RETURNED, "02001", "no_additional_dynamic_result_sets_returned") \
    X(SQL_STATEMENT_NOT_YET_COMPLETE, "03000", "sql_statement_not_yet_complete") \
    X(CONNECTION_EXCEPTION, "08000", "connection_exception") \
    X(SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION, "08001", "sqlclient_unable_to_establish_sqlconnection") \
    X(CONNECTION_DOES_NOT_EXIST, "08003", "connection_does_not_exist") \
    X(SQLSERVER_REJECTED_ESTABLISHMENT_OF_SQLCONNECTION, "08004", "sqlserver_rejected_establishment_of_sqlconnection") \
    X(CONNECTION_FAILURE, "08006", "connection_failure") \
    X(TRANSACTION_RESOLUTION_UNKNOWN, "08007", "transaction_resolution_unknown") \
    X(PROTOCOL_VIOLATION, "08P01", "protocol_violation") \
    X(TRIGGERED_ACTION_EXCEPTION, "09000", "triggered_action_exception") \
    X(FEATURE_NOT_SUPPORTED, "0A000", "feature_not_supported") \
    X(INVALID_TRANSACTION_INITIATION, "0B000", "invalid_transaction_initiation") \
    X(LOCATOR_EXCEPTION, "0F000", "locator_exception") \
    X(INVALID_LOCATOR_SPECIFICATION, "0F001", "invalid_locator_specification") \
    X(INVALID_GRANTOR, "0L000", "invalid_grantor") \
    X(INVALID_GRANT_OPERATION, "0LP01", "invalid_grant_operation") \
    X(INVALID_ROLE_SPECIFICATION, "0P000", "invalid_role_specification") \
    X(DIAGNOSTICS_EXCEPTION, "0Z000", "diagnostics_exception") \
    X(STACKED_DIAGNOSTICS_ACCESSED_WITHOUT_ACTIVE_HANDLER, "0Z002", "stacked_diagnostics_accessed_without_active_handler") \
    X(INVALID_ARGUMENT_FOR_XQUERY, "10608", "invalid_argument_for_xquery") \
    X(CASE_NOT_FOUND, "20000", "case_not_found") \
    X(CARDINALITY_VIOLATION, "21000", "cardinality_violation") \
    X(DATA_EXCEPTION, "22000", "data_exception") \
    X(STRING_DATA_RIGHT_TRUNCATION, "22001", "string_data_right_truncation") \
    X(NULL_VALUE_NO_INDICATOR_PARAMETER, "22002", "null_value_no_indicator_parameter") \
    X(NUMERIC_VALUE_OUT_OF_RANGE, "22003", "numeric_value_out_of_range") \
    X(NULL_VALUE_NOT_ALLOWED, "22004", "null_value_not_allowed") \
    X(ERROR_IN_ASSIGNMENT, "22005", "error_in_assignment") \
    X(INVALID_DATETIME_FORMAT, "22007", "invalid_datetime_format") \
    X(DATETIME_FIELD_OVERFLOW, "22008", "datetime_field_overflow") \
    X(INVALID_TIME_ZONE_DISPLACEMENT_VALUE, "22009", "invalid_time_zone_displacement_value") \
    X(ESCAPE_CHARACTER_CONFLICT, "2200B", "escape_character_conflict") \
    X(INVALID_USE_OF_ESCAPE_CHARACTER, "2200C", "invalid_use_of_escape_character") \
    X(INVALID_ESCAPE_OCTET, "2200D", "invalid_escape_octet") \
    X(ZERO_LENGTH_CHARACTER_STRING, "2200F", "zero_length_character_string") \
    X(MOST_SPECIFIC_TYPE_MISMATCH, "2200G", "most_specific_type_mismatch") \
    X(SEQUENCE_GENERATOR_LIMIT_EXCEEDED, "2200H", "sequence_generator_limit_exceeded") \
    X(NOT_AN_XML_DOCUMENT, "2200L", "not_an_xml_document") \
    X(INVALID_XML_DOCUMENT, "2200M", "invalid_xml_document") \
    X(INVALID_XML_CONTENT, "2200N", "invalid_xml_content") \
    X(INVALID_XML_COMMENT, "2200S", "invalid_xml_comment") \
    X(INVALID_XML_PROCESSING_INSTRUCTION, "2200T", "invalid_xml_processing_instruction") \
    X(INVALID_INDICATOR_PARAMETER_VALUE, "22010", "invalid_indicator_parameter_value") \
    X(SUBSTRING_ERROR, "22011", "substring_error") \
    X(DIVISION_BY_ZERO, "22012", "division_by_zero") \
    X(INVALID_PRECEDING_OR_FOLLOWING_SIZE, "22013", "invalid_preceding_or_following_size") \
    X(INVALID_ARGUMENT_FOR_NTILE_FUNCTION, "22014", "invalid_argument_for_ntile_function") \
    X(INTERVAL_FIELD_OVERFLOW, "22015", "interval_field_overflow") \
    X(INVALID_ARGUMENT_FOR_NTH_VALUE_FUNCTION, "22016", "invalid_argument_for_nth_value_function") \
    X(INVALID_CHARACTER_VALUE_FOR_CAST, "22018", "invalid_character_value_for_cast") \
    X(INVALID_ESCAPE_CHARACTER, "22019", "invalid_escape_character") \
    X(INVALID_REGULAR_EXPRESSION, "2201B", "invalid_regular_expression") \
    X(INVALID_ARGUMENT_FOR_LOGARITHM, "2201E", "invalid_argument_for_logarithm") \
    X(INVALID_ARGUMENT_FOR_POWER_FUNCTION, "2201F", "invalid_argument_for_power_function") \
    X(INVALID_ARGUMENT_FOR_WIDTH_BUCKET_FUNCTION, "2201G", "invalid_argument_for_width_bucket_function") \
    X(INVALID_ROW_COUNT_IN_LIMIT_CLAUSE, "2201W", "invalid_row_count_in_limit_clause") \
    X(INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE, "2201X", "invalid_row_count_in_result_offset_clause") \
    X(CHARACTER_NOT_IN_REPERTOIRE, "22021", "character_not_in_repertoire") \
    X(INDICATOR_OVERFLOW, "22022", "indicator_overflow") \
    X(INVALID_PARAMETER_VALUE, "22023", "invalid_parameter_value") \
    X(UNTERMINATED_C_STRING, "22024", "unterminated_c_string") \
    X(INVALID_ESCAPE_SEQUENCE, "22025", "invalid_escape_sequence") \
    X(STRING_DATA_LENGTH_MISMATCH, "22026", "string_data_length_mismatch") \
    X(TRIM_ERROR, "22027", "trim_error") \
    X(ARRAY_SUBSCRIPT_ERROR, "2202E", "array_subscript_error") \
    X(INVALID_TABLESAMPLE_REPEAT, "2202G", "invalid_tablesample_repeat") \
    X(INVALID_TABLESAMPLE_ARGUMENT, "2202H", "invalid_tablesample_argument") \
    X(DUPLICATE_JSON_OBJECT_KEY_VALUE, "22030", "duplicate_json_object_key_value") \
    X(INVALID_ARGUMENT_FOR_SQL_JSON_DATETIME_FUNCTION, "22031", "invalid_argument_for_sql_json_datetime_function") \
    X(INVALID_JSON_TEXT, "22032", "invalid_json_text") \
    X(INVALID_SQL_JSON_SUBSCRIPT, "22033", "invalid_sql_json_subscript") \
    X(MORE_THAN_ONE_SQL_JSON_ITEM, "22034", "more_than_one_sql_json_item") \
    X(NO_SQL_JSON_ITEM, "22035", "no_sql_json_item") \
    X(NON_NUMERIC_SQL_JSON_ITEM, "22036", "non_numeric_sql_json_item") \
    X(NON_UNIQUE_KEYS_IN_A_JSON_OBJECT, "22037", "non_unique_keys_in_a_json_object") \
    X(SINGLETON_SQL_JSON_ITEM_REQUIRED, "22038", "singleton_sql_json_item_required") \
    X(SQL_JSON_ARRAY_NOT_FOUND, "22039", "sql_json_array_not_found") \
    X(SQL_JSON_MEMBER_NOT_FOUND, "2203A", "sql_json_member_not_found") \
    X(SQL_JSON_NUMBER_NOT_FOUND, "2203B", "sql_json_number_not_found") \
    X(SQL_JSON_OBJECT_NOT_FOUND, "2203C", "sql_json_object_not_found") \
    X(TOO_MANY_JSON_ARRAY_ELEMENTS, "2203D", "too_many_json_array_elements") \
    X(TOO_MANY_JSON_OBJECT_MEMBERS, "2203E", "too_many_json_object_members") \
    X(SQL_JSON_SCALAR_REQUIRED, "2203F", "sql_json_scalar_required") \
    X(SQL_JSON_ITEM_CANNOT_BE_CAST_TO_TARGET_TYPE, "2203G", "sql_json_item_cannot_be_cast_to_target_type") \
    X(FLOATING_POINT_EXCEPTION, "22P01", "floating_point_exception") \
    X(INVALID_TEXT_REPRESENTATION, "22P02", "invalid_text_representation") \
    X(INVALID_BINARY_REPRESENTATION, "22P03", "invalid_binary_representation") \
    X(BAD_COPY_FILE_FORMAT, "22P04", "bad_copy_file_format") \
    X(UNTRANSLATABLE_CHARACTER, "22P05", "untranslatable_character") \
    X(NONSTANDARD_USE_OF_ESCAPE_CHARACTER, "22P06", "nonstandard_use_of_escape_character") \
    X(DATUM_VERSION_MISMATCH, "22P07", "datum_version_mismatch") \
    X(INTEGRITY_CONSTRAINT_VIOLATION, "23000", "integrity_constraint_violation") \
    X(RESTRICT_VIOLATION, "23001", "restrict_violation") \
    X(NOT_NULL_VIOLATION, "23502", "not_null_violation") \
    X(FOREIGN_KEY_VIOLATION, "23503", "foreign_key_violation") \
    X(UNIQUE_VIOLATION, "23505", "unique_violation") \
    X(CHECK_VIOLATION, "23514", "check_violation") \
    X(EXCLUSION_VIOLATION, "23P01", "exclusion_violation") \
    X(INVALID_CURSOR_STATE, "24000", "invalid_cursor_state") \
    X(INVALID_TRANSACTION_STATE, "25000", "invalid_transaction_state") \
    X(ACTIVE_SQL_TRANSACTION, "25001", "active_sql_transaction") \
    X(BRANCH_TRANSACTION_ALREADY_ACTIVE, "25002", "branch_transaction_already_active") \
    X(INAPPROPRIATE_ACCESS_MODE_FOR_BRANCH_TRANSACTION, "25003", "inappropriate_access_mode_for_branch_transaction") \
    X(INAPPROPRIATE_ISOLATION_LEVEL_FOR_BRANCH_TRANSACTION, "25004", "inappropriate_isolation_level_for_branch_transaction") \
    X(NO_ACTIVE_SQL_TRANSACTION_FOR_BRANCH_TRANSACTION, "25005", "no_active_sql_transaction_for_branch_transaction") \
    X(READ_ONLY_SQL_TRANSACTION, "25006", "read_only_sql_transaction") \
    X(SCHEMA_AND_DATA_STATEMENT_MIXING_NOT_SUPPORTED, "25007", "schema_and_data_statement_mixing_not_supported") \
    X(HELD_CURSOR_REQUIRES_SAME_ISOLATION_LEVEL, "25008", "held_cursor_requires_same_isolation_level") \
    X(NO_ACTIVE_SQL_TRANSACTION, "25P01", "no_active_sql_transaction") \
    X(IN_FAILED_SQL_TRANSACTION, "25P02", "in_failed_sql_transaction") \
    X(IDLE_IN_TRANSACTION_SESSION_TIMEOUT, "25P03", "idle_in_transaction_session_timeout") \
    X(TRANSACTION_TIMEOUT, "25P04", "transaction_timeout") \
    X(INVALID_SQL_STATEMENT_NAME, "26000", "invalid_sql_statement_name") \
    X(TRIGGERED_DATA_CHANGE_VIOLATION, "27000", "triggered_data_change_violation") \
    X(INVALID_AUTHORIZATION_SPECIFICATION, "28000", "invalid_authorization_specification") \
    X(INVALID_PASSWORD, "28P01", "invalid_password") \
    X(DEPENDENT_PRIVILEGE_DESCRIPTORS_STILL_EXIST, "2B000", "dependent_privilege_descriptors_still_exist") \
    X(DEPENDENT_OBJECTS_STILL_EXIST, "2BP01", "dependent_objects_still_exist") \
    X(INVALID_TRANSACTION_TERMINATION, "2D000", "invalid_transaction_termination") \
    X(SQL_ROUTINE_EXCEPTION, "2F000", "sql_routine_exception") \
    X(S_R_E_MODIFYING_SQL_DATA_NOT_PERMITTED, "2F002", "modifying_sql_data_not_permitted") \
    X(S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED, "2F003", "prohibited_sql_statement_attempted") \
    X(S_R_E_READING_SQL_DATA_NOT_PERMITTED, "2F004", "reading_sql_data_not_permitted") \
    X(FUNCTION_EXECUTED_NO_RETURN_STATEMENT, "2F005", "function_executed_no_return_statement") \
    X(INVALID_CURSOR_NAME, "34000", "invalid_cursor_name") \
    X(EXTERNAL_ROUTINE_EXCEPTION, "38000", "external_routine_exception") \
    X(CONTAINING_SQL_NOT_PERMITTED, "38001", "containing_sql_not_permitted") \
    X(E_R_E_MODIFYING_SQL_DATA_NOT_PERMITTED, "38002", "modifying_sql_data_not_permitted") \
    X(E_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED, "38003", "prohibited_sql_statement_attempted") \
    X(E_R_E_READING_SQL_DATA_NOT_PERMITTED, "38004", "reading_sql_data_not_permitted") \
    X(EXTERNAL_ROUTINE_INVOCATION_EXCEPTION, "39000", "external_routine_invocation_exception") \
    X(INVALID_SQLSTATE_RETURNED, "39001", "invalid_sqlstate_returned") \
    X(E_R_I_E_NULL_VALUE_NOT_ALLOWED, "39004", "null_value_not_allowed") \
    X(TRIGGER_PROTOCOL_VIOLATED, "39P01", "trigger_protocol_violated") \
    X(SRF_PROTOCOL_VIOLATED, "39P02", "srf_protocol_violated") \
    X(EVENT_TRIGGER_PROTOCOL_VIOLATED, "39P03", "event_trigger_protocol_violated") \
    X(SAVEPOINT_EXCEPTION, "3B000", "savepoint_exception") \
    X(INVALID_SAVEPOINT_SPECIFICATION, "3B001", "invalid_savepoint_specification") \
    X(INVALID_CATALOG_NAME, "3D000", "invalid_catalog_name") \
    X(INVALID_SCHEMA_NAME, "3F000", "invalid_schema_name") \
    X(TRANSACTION_ROLLBACK, "40000", "transaction_rollback") \
    X(SERIALIZATION_FAILURE, "40001", "serialization_failure") \
    X(TRANSACTION_INTEGRITY_CONSTRAINT_VIOLATION, "40002", "transaction_integrity_constraint_violation") \
    X(STATEMENT_COMPLETION_UNKNOWN, "40003", "statement_completion_unknown") \
    X(DEADLOCK_DETECTED, "40P01", "deadlock_detected") \
    X(SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION, "42000", "syntax_error_or_access_rule_violation") \
    X(INSUFFICIENT_PRIVILEGE, "42501", "insufficient_privilege") \
    X(SYNTAX_ERROR, "42601", "syntax_error") \
    X(INVALID_NAME, "42602", "invalid_name") \
    X(INVALID_COLUMN_DEFINITION, "42611", "invalid_column_definition") \
    X(NAME_TOO_LONG, "42622", "name_too_long") \
    X(DUPLICATE_COLUMN, "42701", "duplicate_column") \
    X(AMBIGUOUS_COLUMN, "42702", "ambiguous_column") \
    X(UNDEFINED_COLUMN, "42703", "undefined_column") \
    X(UNDEFINED_OBJECT, "42704", "undefined_object") \
    X(DUPLICATE_OBJECT, "42710", "duplicate_object") \
    X(DUPLICATE_ALIAS, "42712", "duplicate_alias") \
    X(DUPLICATE_FUNCTION, "42723", "duplicate_function") \
    X(AMBIGUOUS_FUNCTION, "42725", "ambiguous_function") \
    X(GROUPING_ERROR, "42803", "grouping_error") \
    X(DATATYPE_MISMATCH, "42804", "datatype_mismatch") \
    X(WRONG_OBJECT_TYPE, "42809", "wrong_object_type") \
    X(INVALID_FOREIGN_KEY, "42830", "invalid_foreign_key") \
    X(CANNOT_COERCE, "42846", "cannot_coerce") \
    X(UNDEFINED_FUNCTION, "42883", "undefined_function") \
    X(GENERATED_ALWAYS, "428C9", "generated_always") \
    X(RESERVED_NAME, "42939", "reserved_name") \
    X(UNDEFINED_TABLE, "42P01", "undefined_table") \
    X(UNDEFINED_PARAMETER, "42P02", "undefined_parameter") \
    X(DUPLICATE_CURSOR, "42P03", "duplicate_cursor") \
    X(DUPLICATE_DATABASE, "42P04", "duplicate_database") \
    X(DUPLICATE_PREPARED_STATEMENT, "42P05", "duplicate_prepared_statement") \
    X(DUPLICATE_SCHEMA, "42P06", "duplicate_schema") \
    X(DUPLICATE_TABLE, "42P07", "duplicate_table") \
    X(AMBIGUOUS_PARAMETER, "42P08", "ambiguous_parameter") \
    X(AMBIGUOUS_ALIAS, "42P09", "ambiguous_alias") \
    X(INVALID_COLUMN_REFERENCE, "42P10", "invalid_column_reference") \
    X(INVALID_CURSOR_DEFINITION, "42P11", "invalid_cursor_definition") \
    X(INVALID_DATABASE_DEFINITION, "42P12", "invalid_database_definition") \
    X(INVALID_FUNCTION_DEFINITION, "42P13", "invalid_function_definition") \
    X(INVALID_PREPARED_STATEMENT_DEFINITION, "42P14", "invalid_prepared_statement_definition") \
    X(INVALID_SCHEMA_DEFINITION, "42P15", "invalid_schema_definition") \
    X(INVALID_TABLE_DEFINITION, "42P16", "invalid_table_definition") \
    X(INVALID_OBJECT_DEFINITION, "42P17", "invalid_object_definition") \
    X(INDETERMINATE_DATATYPE, "42P18", "indeterminate_datatype") \
    X(INVALID_RECURSION, "42P19", "invalid_recursion") \
    X(WINDOWING_ERROR, "42P20", "windowing_error") \
    X(COLLATION_MISMATCH, "42P21", "collation_mismatch") \
    X(INDETERMINATE_COLLATION, "42P22", "indeterminate_collation") \
    X(WITH_CHECK_OPTION_VIOLATION, "44000", "with_check_option_violation") \
    X(INSUFFICIENT_RESOURCES, "53000", "insufficient_resources") \
    X(DISK_FULL, "53100", "disk_full") \
    X(OUT_OF_MEMORY, "53200", "out_of_memory") \
    X(TOO_MANY_CONNECTIONS, "53300", "too_many_connections") \
    X(CONFIGURATION_LIMIT_EXCEEDED, "53400", "configuration_limit_exceeded") \
    X(PROGRAM_LIMIT_EXCEEDED, "54000", "program_limit_exceeded") \
    X(STATEMENT_TOO_COMPLEX, "54001", "statement_too_complex") \
    X(TOO_MANY_COLUMNS, "54011", "too_many_columns") \
    X(TOO_MANY_ARGUMENTS, "54023", "too_many_arguments") \
    X(OBJECT_NOT_IN_PREREQUISITE_STATE, "55000", "object_not_in_prerequisite_state") \
    X(OBJECT_IN_USE, "55006", "object_in_use") \
    X(CANT_CHANGE_RUNTIME_PARAM, "55P02", "cant_change_runtime_param") \
    X(LOCK_NOT_AVAILABLE, "55P03", "lock_not_available") \
    X(UNSAFE_NEW_ENUM_VALUE_USAGE, "55P04", "unsafe_new_enum_value_usage") \
    X(OPERATOR_INTERVENTION, "57000", "operator_intervention") \
    X(QUERY_CANCELED, "57014", "query_canceled") \
    X(ADMIN_SHUTDOWN, "57P01", "admin_shutdown") \
    X(CRASH_SHUTDOWN, "57P02", "crash_shutdown") \
    X(CANNOT_CONNECT_NOW, "57P03", "cannot_connect_now") \
    X(DATABASE_DROPPED, "57P04", "database_dropped") \
    X(IDLE_SESSION_TIMEOUT, "57P05", "idle_session_timeout") \
    X(SYSTEM_ERROR, "58000", "system_error") \
    X(IO_ERROR, "58030", "io_error") \
    X(UNDEFINED_FILE, "58P01", "undefined_file") \
    X(DUPLICATE_FILE, "58P02", "duplicate_file") \
    X(FILE_NAME_TOO_LONG, "58P03", "file_name_too_long") \
    X(SNAPSHOT_TOO_OLD, "72000", "snapshot_too_old") \
    X(CONFIG_FILE_ERROR, "F0000", "config_file_error") \
    X(LOCK_FILE_EXISTS, "F0001", "lock_file_exists") \
    X(FDW_ERROR, "HV000", "fdw_error") \
    X(FDW_OUT_OF_MEMORY, "HV001", "fdw_out_of_memory") \
    X(FDW_DYNAMIC_PARAMETER_VALUE_NEEDED, "HV002", "fdw_dynamic_parameter_value_needed") \
    X(FDW_INVALID_DATA_TYPE, "HV004", "fdw_invalid_data_type") \
    X(FDW_COLUMN_NAME_NOT_FOUND, "HV005", "fdw_column_name_not_found") \
    X(FDW_INVALID_DATA_TYPE_DESCRIPTORS, "HV006", "fdw_invalid_data_type_descriptors") \
    X(FDW_INVALID_COLUMN_NAME, "HV007", "fdw_invalid_column_name") \
    X(FDW_INVALID_COLUMN_NUMBER, "HV008", "fdw_invalid_column_number") \
    X(FDW_INVALID_USE_OF_NULL_POINTER, "HV009", "fdw_invalid_use_of_null_pointer") \
    X(FDW_INVALID_STRING_FORMAT, "HV00A", "fdw_invalid_string_format") \
    X(FDW_INVALID_HANDLE, "HV00B", "fdw_invalid_handle") \
    X(FDW_INVALID_OPTION_INDEX, "HV00C", "fdw_invalid_option_index") \
    X(FDW_INVALID_OPTION_NAME, "HV00D", "fdw_invalid_option_name") \
    X(FDW_OPTION_NAME_NOT_FOUND, "HV00J", "fdw_option_name_not_found") \
    X(FDW_REPLY_HANDLE, "HV00K", "fdw_reply_handle") \
    X(FDW_UNABLE_TO_CREATE_EXECUTION, "HV00L", "fdw_unable_to_create_execution") \
    X(FDW_UNABLE_TO_CREATE_REPLY, "HV00M", "fdw_unable_to_create_reply") \
    X(FDW_UNABLE_TO_ESTABLISH_CONNECTION, "HV00N", "fdw_unable_to_establish_connection") \
    X(FDW_NO_SCHEMAS, "HV00P", "fdw_no_schemas") \
    X(FDW_SCHEMA_NOT_FOUND, "HV00Q", "fdw_schema_not_found") \
    X(FDW_TABLE_NOT_FOUND, "HV00R", "fdw_table_not_found") \
    X(FDW_FUNCTION_SEQUENCE_ERROR, "HV010", "fdw_function_sequence_error") \
    X(FDW_TOO_MANY_HANDLES, "HV014", "fdw_too_many_handles") \
    X(FDW_INCONSISTENT_DESCRIPTOR_INFORMATION, "HV021", "fdw_inconsistent_descriptor_information") \
    X(FDW_INVALID_ATTRIBUTE_VALUE, "HV024", "fdw_invalid_attribute_value") \
    X(FDW_INVALID_STRING_LENGTH_OR_BUFFER_LENGTH, "HV090", "fdw_invalid_string_length_or_buffer_length") \
    X(FDW_INVALID_DESCRIPTOR_FIELD_IDENTIFIER, "HV091", "fdw_invalid_descriptor_field_identifier") \
    X(PLPGSQL_ERROR, "P0000", "plpgsql_error") \
    X(RAISE_EXCEPTION, "P0001", "raise_exception") \
    X(NO_DATA_FOUND, "P0002", "no_data_found") \
    X(TOO_MANY_ROWS, "P0003", "too_many_rows") \
    X(ASSERT_FAILURE, "P0004", "assert_failure") \
    X(INTERNAL_ERROR, "XX000", "internal_error") \
    X(DATA_CORRUPTED, "XX001", "data_corrupted") \
    X(INDEX_CORRUPTED, "XX002", "index_corrupted")
// clang-format on

typedef enum pg_sqlstate {
    PG_SQLSTATE_UNKNOWN = 0, /* of a server that is newer, an extension, or a function of its own */
#define PG_SQLSTATE_ITEM_(name, code, text) PG_SQLSTATE_##name,
    PG_SQLSTATES(PG_SQLSTATE_ITEM_)
#undef PG_SQLSTATE_ITEM_
} pg_sqlstate;

/* That of five characters. */
pg_sqlstate pg_sqlstate_parse(str code);
/* Its five characters; "" of PG_SQLSTATE_UNKNOWN. */
str pg_sqlstate_code(pg_sqlstate state);
/* Its name: "unique_violation"; "" of PG_SQLSTATE_UNKNOWN. */
str pg_sqlstate_name(pg_sqlstate state);

/* The code that the server gave the running fiber's last error, which `e` must be, or its nearest
 * cause that has one. PG_SQLSTATE_UNKNOWN also when the server did not speak. */
pg_sqlstate pg_sqlstate_of(error e);
/* Whether that is of this class, the first two characters: "23", a constraint; "40", a transaction
 * that may be tried again; "53", the server's resources; "57", somebody's intervention. Classes are
 * known whatever the server's version. */
bool pg_error_in_class(error e, const char *two);

#endif
