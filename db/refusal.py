"""Why something asked for can not be done: in a sentence for the one who asked, with the field it is about."""

from sqlalchemy.exc import IntegrityError


class Refusal(Exception):
    """`code` is for programs, the sentence for people, `field` names the input at fault if one is."""

    def __init__(self, message: str, *, code: str, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.field = field


class NotFound(Refusal):
    def __init__(self, what: str) -> None:
        super().__init__(f"There is no such {what}.", code="not_found")


class Conflict(Refusal):
    """What is asked for contradicts what is there."""


class Invalid(Refusal):
    """A value can not be used, whatever else is there."""

    def __init__(self, message: str, *, field: str | None = None, code: str = "invalid") -> None:
        super().__init__(message, code=code, field=field)


_TAKEN = {
    "admin_email_key": ("email", "Another admin has this email address."),
    "device_pkey": ("macs", "One of these MAC addresses belongs to another subscription."),
    "payment_account_tenant_id_name_key": ("name", "Another payment account has this name."),
    "payment_intent_open_key": ("msisdn", "This phone is being asked for a payment already."),
    "payment_tenant_id_provider_receipt_key": ("receipt", "A payment with this receipt is recorded already."),
    "plan_tenant_id_name_key": ("name", "Another plan has this name."),
    "router_nas_address_key": ("nas_address", "This address belongs to a router already."),
    "router_tenant_id_name_key": ("name", "Another router has this name."),
    "subscriber_tenant_id_msisdn_key": ("msisdn", "Another subscriber has this phone number."),
    "subscription_tenant_id_delegated_ipv6_prefix_key": (
        "delegated_ipv6_prefix",
        "Another subscription has this prefix.",
    ),
    "subscription_tenant_id_framed_ip_address_key": ("framed_ip_address", "Another subscription has this address."),
    "subscription_tenant_id_username_key": ("username", "Another subscription has this username."),
    "webhook_endpoint_tenant_id_name_key": ("name", "Another webhook has this name."),
    "tenant_slug_key": ("slug", "Another tenant has this short name."),
}

_INVALID = {
    "admin_email_check": ("email", "This is not an email address in lower case."),
    "admin_platform_has_no_tenant_check": ("role", "The role platform, and only it, belongs to no tenant."),
    "admin_role_check": ("role", "There is no such role."),
    "payment_account_confirm_above_check": ("confirm_above_kes", "It must not be below 0."),
    "payment_account_kind_check": ("kind", "It must be paybill or till."),
    "payment_account_name_check": ("name", "It must have 1 to 100 characters."),
    "payment_account_provider_check": ("provider", "It must be daraja."),
    "payment_account_shortcode_check": ("shortcode", "It must be 5 to 7 digits."),
    "payment_account_till_number_check": ("till_number", "It must be 5 to 7 digits."),
    "payment_account_till_number_of_a_till_check": ("till_number", "A till needs it; a paybill has none."),
    "payment_amount_check": ("amount_kes", "It must be above 0."),
    "payment_intent_amount_check": ("amount_kes", "It must be whole shillings from 1 to 250000."),
    "payment_intent_msisdn_check": ("msisdn", "M-Pesa asks mobile phones of Kenya only."),
    "payment_intent_tenant_id_payment_account_id_fkey": ("payment_account_id", "There is no such payment account."),
    "payment_intent_tenant_id_plan_id_fkey": ("plan_id", "There is no such plan."),
    "payment_intent_tenant_id_router_id_fkey": ("router_id", "There is no such router."),
    "payment_intent_tenant_id_subscriber_id_fkey": ("subscriber_id", "There is no such subscriber."),
    "payment_intent_tenant_id_subscription_id_fkey": ("subscription_id", "There is no such subscription."),
    "payment_receipt_check": ("receipt", "It must have 1 to 64 characters."),
    "payment_tenant_id_subscriber_id_fkey": ("subscriber_id", "There is no such subscriber."),
    "payment_tenant_id_subscription_id_fkey": ("subscription_id", "There is no such subscription."),
    "payment_tenant_id_plan_id_fkey": ("plan_id", "There is no such plan."),
    "plan_after_limit_check": ("after_limit", "It must be stop or throttle."),
    "plan_boost_is_whole_check": (
        "boost_from",
        "A boost needs boost_from, boost_until, boost_upload_kbps and boost_download_kbps, or none of them.",
    ),
    "plan_boost_speed_check": ("boost_upload_kbps", "A boost speed must be above 0."),
    "plan_burst_is_whole_check": (
        "burst_upload_kbps",
        "A burst needs both burst speeds, both thresholds and burst_time_s, or none of them.",
    ),
    "plan_burst_speed_check": ("burst_upload_kbps", "A burst speed must not be below the plan's speed."),
    "plan_burst_time_check": ("burst_time_s", "It must be above 0."),
    "plan_data_limit_check": ("data_limit_bytes", "It must be above 0."),
    "plan_devices_check": ("devices", "It must be at least 1."),
    "plan_download_limit_check": ("download_limit_bytes", "It must be above 0."),
    "plan_fair_use_speed_check": ("fair_use_upload_kbps", "A fair-use speed must be above 0."),
    "plan_fair_use_with_throttle_check": (
        "fair_use_upload_kbps",
        "after_limit throttle needs fair_use_upload_kbps and fair_use_download_kbps; after_limit stop takes neither.",
    ),
    "plan_grace_check": ("grace_hours", "It must be from 0 to 8760."),
    "plan_idle_timeout_check": ("idle_timeout_s", "It must be above 0."),
    "plan_interim_interval_check": ("interim_interval_s", "It must be from 60 to 3600."),
    "plan_limit_period_check": ("limit_period", "It must be validity, day, week or month."),
    "plan_limit_reset_day_check": ("limit_reset_day", "It must be from 1 to 31."),
    "plan_limit_reset_weekday_check": ("limit_reset_day", "For a week it must be from 1 (Monday) to 7."),
    "plan_boost_times_check": ("boost_until", "It must differ from boost_from."),
    "plan_minimum_is_whole_check": (
        "min_upload_kbps",
        "A minimum needs min_upload_kbps and min_download_kbps, or neither.",
    ),
    "plan_minimum_speed_check": ("min_upload_kbps", "A minimum speed must not be above the plan's speed."),
    "plan_name_check": ("name", "It must have 1 to 100 characters."),
    "plan_on_device_limit_check": ("on_device_limit", "It must be reject or drop_oldest."),
    "plan_on_expiry_check": ("on_expiry", "It must be reject or walled_garden."),
    "plan_price_check": ("price_kes", "It must not be below 0."),
    "plan_priority_check": ("priority", "It must be from 1 to 8."),
    "plan_service_check": ("service", "It must be hotspot, pppoe or any."),
    "plan_speed_check": ("upload_kbps", "A speed must be above 0."),
    "plan_time_limit_check": ("time_limit_s", "It must be above 0."),
    "plan_upload_limit_check": ("upload_limit_bytes", "It must be above 0."),
    "plan_validity_count_check": ("validity_count", "It must be from 1 to 100000."),
    "plan_validity_count_with_unit_check": (
        "validity_count",
        "A validity in hours, days or months needs a validity_count; an unlimited one takes none.",
    ),
    "plan_validity_from_check": ("validity_from", "It must be purchase or first_login."),
    "plan_validity_months_check": ("validity_count", "A validity can not exceed 1200 months."),
    "plan_validity_unit_check": ("validity_unit", "It must be hours, days, months or unlimited."),
    "plan_walled_garden_check": (
        "walled_garden_address_list",
        "on_expiry walled_garden needs walled_garden_address_list; on_expiry reject takes none.",
    ),
    "router_api_address_check": ("api_address", "It must be one address, not a network."),
    "router_api_certificates_check": ("api_certificate_sha256", "It must be 64 hexadecimal digits."),
    "router_api_plain_check": ("api_plain", "It must be never, fallback or only."),
    "router_api_ports_check": ("api_port", "It must be from 1 to 65535, and so must api_ssl_port."),
    "router_api_username_check": ("api_username", "It must have 1 to 64 characters."),
    "router_coa_port_check": ("coa_port", "It must be from 1 to 65535."),
    "router_message_authenticator_check": ("require_message_authenticator", "It must be auto, yes or no."),
    "router_name_check": ("name", "It must have 1 to 100 characters."),
    "router_nas_address_check": ("nas_address", "It must be one address, not a network."),
    "router_status_check": ("status", "There is no such status."),
    "subscriber_import_format_check": ("format", "It must be csv or json."),
    "subscriber_msisdn_check": ("msisdn", "This is not a phone number."),
    "subscriber_name_check": ("name", "It must have 1 to 200 characters."),
    "subscription_delegated_ipv6_prefix_check": ("delegated_ipv6_prefix", "It must be an IPv6 prefix."),
    "subscription_framed_ip_address_check": ("framed_ip_address", "It must be one IPv4 address."),
    "subscription_service_check": ("service", "It must be hotspot or pppoe."),
    "subscription_status_check": ("status", "There is no such status."),
    "subscription_tenant_id_plan_id_fkey": ("plan_id", "There is no such plan."),
    "subscription_tenant_id_subscriber_id_fkey": ("subscriber_id", "There is no such subscriber."),
    "subscription_username_check": ("username", "It must have 1 to 64 characters, none of them a control character."),
    "tenant_language_check": ("language", "It must be en or sw."),
    "tenant_slug_check": ("slug", "It must have 1 to 63 letters a–z, digits and dashes, and not begin with a dash."),
    "webhook_endpoint_name_check": ("name", "It must have 1 to 100 characters."),
    "webhook_endpoint_types_check": ("types", "It must name 1 to 50 types."),
    "webhook_endpoint_url_check": ("url", "It must be a URL that begins with https://."),
    "voucher_batch_code_length_check": ("code_length", "It must be from 8 to 20."),
    "voucher_batch_count_check": ("count", "It must be from 1 to 5000."),
    "voucher_batch_expires_at_check": ("expires_at", "It must be in the future."),
}


def refusal_of(error: IntegrityError) -> Refusal | None:
    """What a violated constraint means to the one who asked; None if the fault is ours."""
    name = getattr(getattr(error.orig, "diag", None), "constraint_name", None) or ""
    if taken := _TAKEN.get(name):
        return Conflict(taken[1], code="taken", field=taken[0])
    if invalid := _INVALID.get(name):
        return Invalid(invalid[1], field=invalid[0])
    return None
