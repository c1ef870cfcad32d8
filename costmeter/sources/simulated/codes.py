"""The driver's vocabulary: its return codes by name, and the functions the simulated driver answers."""

SUCCESS = 0
UNINITIALIZED = 1
INVALID_ARGUMENT = 2
NOT_SUPPORTED = 3
NOT_FOUND = 6
INSUFFICIENT_SIZE = 7
DRIVER_NOT_LOADED = 9
TIMEOUT = 10
GPU_IS_LOST = 15
NO_DATA = 21
ARGUMENT_VERSION_MISMATCH = 25

#: Every return code of nvml.h, and the words nvmlErrorString says.
CODES: dict[str, tuple[int, str]] = {
    "SUCCESS": (0, "Success"),
    "UNINITIALIZED": (1, "Uninitialized"),
    "INVALID_ARGUMENT": (2, "Invalid Argument"),
    "NOT_SUPPORTED": (3, "Not Supported"),
    "NO_PERMISSION": (4, "Insufficient Permissions"),
    "ALREADY_INITIALIZED": (5, "Already Initialized"),
    "NOT_FOUND": (6, "Not Found"),
    "INSUFFICIENT_SIZE": (7, "Insufficient Size"),
    "INSUFFICIENT_POWER": (8, "Insufficient External Power"),
    "DRIVER_NOT_LOADED": (9, "Driver Not Loaded"),
    "TIMEOUT": (10, "Timeout"),
    "IRQ_ISSUE": (11, "Interrupt Request Issue"),
    "LIBRARY_NOT_FOUND": (12, "NVML Shared Library Not Found"),
    "FUNCTION_NOT_FOUND": (13, "Function Not Found"),
    "CORRUPTED_INFOROM": (14, "Corrupted infoROM"),
    "GPU_IS_LOST": (15, "GPU is lost"),
    "RESET_REQUIRED": (16, "GPU requires reset"),
    "OPERATING_SYSTEM": (17, "GPU access blocked by the operating system"),
    "LIB_RM_VERSION_MISMATCH": (18, "Driver/library version mismatch"),
    "IN_USE": (19, "In use by another client"),
    "MEMORY": (20, "Insufficient Memory"),
    "NO_DATA": (21, "No data"),
    "VGPU_ECC_NOT_SUPPORTED": (22, "Operation not supported on vGPU with ECC"),
    "INSUFFICIENT_RESOURCES": (23, "Insufficient resources"),
    "FREQ_NOT_SUPPORTED": (24, "Requested frequency not supported"),
    "ARGUMENT_VERSION_MISMATCH": (25, "Argument version mismatch"),
    "DEPRECATED": (26, "Deprecated"),
    "NOT_READY": (27, "System is not ready"),
    "GPU_NOT_FOUND": (28, "GPU not found"),
    "INVALID_STATE": (29, "Invalid state"),
    "RESET_TYPE_NOT_SUPPORTED": (30, "Reset type not supported"),
    "UNKNOWN": (999, "Unknown Error"),
}

#: Functions that ask nothing of a device.
NODE_FUNCTIONS: frozenset[str] = frozenset(
    {
        "nvmlInit",
        "nvmlInit_v2",
        "nvmlInitWithFlags",
        "nvmlShutdown",
        "nvmlErrorString",
        "nvmlSystemGetDriverVersion",
        "nvmlSystemGetNVMLVersion",
        "nvmlSystemGetCudaDriverVersion",
        "nvmlSystemGetCudaDriverVersion_v2",
        "nvmlDeviceGetCount_v2",
        "nvmlDeviceGetHandleByIndex_v2",
        "nvmlDeviceGetHandleByUUID",
        "nvmlDeviceGetHandleByPciBusId_v2",
        "nvmlGpmMetricsGet",
        "nvmlGpmSampleAlloc",
        "nvmlGpmSampleFree",
    }
)

#: Functions that take a device handle.
DEVICE_FUNCTIONS: frozenset[str] = frozenset(
    {
        "nvmlDeviceGetArchitecture",
        "nvmlDeviceGetAttributes_v2",
        "nvmlDeviceGetC2cModeInfoV",
        "nvmlDeviceGetComputeInstanceId",
        "nvmlDeviceGetComputeRunningProcesses_v2",
        "nvmlDeviceGetComputeRunningProcesses_v3",
        "nvmlDeviceGetCudaComputeCapability",
        "nvmlDeviceGetDeviceHandleFromMigDeviceHandle",
        "nvmlDeviceGetEnforcedPowerLimit",
        "nvmlDeviceGetFieldValues",
        "nvmlDeviceGetGpuInstanceId",
        "nvmlDeviceGetGraphicsRunningProcesses_v2",
        "nvmlDeviceGetGraphicsRunningProcesses_v3",
        "nvmlDeviceGetIndex",
        "nvmlDeviceGetMPSComputeRunningProcesses_v2",
        "nvmlDeviceGetMPSComputeRunningProcesses_v3",
        "nvmlDeviceGetMaxClockInfo",
        "nvmlDeviceGetMaxMigDeviceCount",
        "nvmlDeviceGetMemoryInfo",
        "nvmlDeviceGetMemoryInfo_v2",
        "nvmlDeviceGetMigDeviceHandleByIndex",
        "nvmlDeviceGetMigMode",
        "nvmlDeviceGetName",
        "nvmlDeviceGetNumGpuCores",
        "nvmlDeviceGetPciInfo_v3",
        "nvmlDeviceGetPersistenceMode",
        "nvmlDeviceGetPowerManagementDefaultLimit",
        "nvmlDeviceGetPowerManagementLimit",
        "nvmlDeviceGetPowerUsage",
        "nvmlDeviceGetTemperature",
        "nvmlDeviceGetTotalEnergyConsumption",
        "nvmlDeviceGetUUID",
        "nvmlDeviceGetUtilizationRates",
        "nvmlDeviceIsMigDeviceHandle",
        "nvmlGpmMigSampleGet",
        "nvmlGpmQueryDeviceSupport",
        "nvmlGpmSampleGet",
    }
)

FUNCTIONS = NODE_FUNCTIONS | DEVICE_FUNCTIONS

#: Fields of nvmlDeviceGetFieldValues, and the function that asks the same counter or sensor: they fail together.
FIELD_FUNCTIONS: dict[int, str] = {
    83: "nvmlDeviceGetTotalEnergyConsumption",
    185: "nvmlDeviceGetPowerUsage",
    186: "nvmlDeviceGetPowerUsage",
    191: "nvmlDeviceGetTotalEnergyConsumption",
}
FIELD_NAMES: dict[str, int] = {f"field {number}": number for number in FIELD_FUNCTIONS}

#: nvml.h's numbers of the architectures, by the names scenarios use.
ARCHITECTURES = {
    "kepler": 2,
    "maxwell": 3,
    "pascal": 4,
    "volta": 5,
    "turing": 6,
    "ampere": 7,
    "ada": 8,
    "hopper": 9,
    "blackwell": 10,
}
MIG_CAPABLE_FROM = ARCHITECTURES["ampere"]
GPM_CAPABLE_FROM = ARCHITECTURES["hopper"]

#: CUDA's compute capability of each architecture's datacentre chip.
COMPUTE_CAPABILITIES = {
    "kepler": (3, 7),
    "maxwell": (5, 2),
    "pascal": (6, 0),
    "volta": (7, 0),
    "turing": (7, 5),
    "ampere": (8, 0),
    "ada": (8, 9),
    "hopper": (9, 0),
    "blackwell": (10, 0),
}
