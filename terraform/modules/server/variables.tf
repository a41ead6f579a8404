variable "name" {
  description = "Name of the server: one DNS label."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", var.name))
    error_message = "The name must be one DNS label of lower-case letters, digits and hyphens."
  }
}

variable "vm_id" {
  description = "VMID, unique in the cluster. Never left to the provider: it hands numbers out twice under parallel clones."
  type        = number

  validation {
    condition     = var.vm_id >= 100 && var.vm_id <= 999999999
    error_message = "The VMID must be between 100 and 999999999."
  }
}

variable "node_name" {
  description = "Node that the server is made on."
  type        = string
}

variable "description" {
  description = "Notes of the guest."
  type        = string
  default     = ""
}

variable "tags" {
  description = "Tags of the guest, in lower case and in order."
  type        = list(string)
  default     = []
}

variable "template" {
  description = "Template to clone: its VMID and the node it is on; null for a guest that is imported."
  type = object({
    vm_id     = number
    node_name = string
  })
  default = null
}

variable "full_clone" {
  description = "Copy the template's disks (true) or share its unchanged blocks (false)."
  type        = bool
  default     = true
}

variable "cores" {
  description = "CPU cores of each socket."
  type        = number

  validation {
    condition     = var.cores >= 1 && floor(var.cores) == var.cores
    error_message = "At least one whole core."
  }
}

variable "sockets" {
  description = "CPU sockets, of so many cores each."
  type        = number
  default     = 1
}

variable "cpu_type" {
  description = "Emulated CPU, as the template has it."
  type        = string
  default     = "x86-64-v2-AES"
}

variable "memory_mb" {
  description = "Memory in MiB."
  type        = number

  validation {
    condition     = var.memory_mb >= 64 && floor(var.memory_mb) == var.memory_mb
    error_message = "At least 64 MiB."
  }
}

variable "disk" {
  description = "The disk that the template boots from: its interface and options as the template has them, its storage, and the size it is grown to, in GiB. It never shrinks."
  type = object({
    interface = string
    storage   = string
    size_gb   = number
    cache     = optional(string, "none")
    discard   = optional(string, "ignore")
    iothread  = optional(bool, false)
    ssd       = optional(bool, false)
  })

  validation {
    condition     = can(regex("^(scsi|virtio|sata|ide)[0-9]+$", var.disk.interface))
    error_message = "The interface must be one such as scsi0, virtio0, sata0 or ide0."
  }
}

variable "networks" {
  description = "Network interfaces in order. No address: DHCP."
  type = list(object({
    bridge      = string
    vlan        = optional(number)
    model       = optional(string, "virtio")
    mac_address = optional(string)
    firewall    = optional(bool, false)
    address     = optional(string)
    gateway     = optional(string)
  }))

  validation {
    condition     = alltrue([for n in var.networks : n.address == null ? true : can(cidrhost(n.address, 0))])
    error_message = "Addresses are written with their prefix: 192.0.2.10/24."
  }
}

variable "cloud_init" {
  description = "cloud-init: its drive, the user, public SSH keys, DNS; null where the guest has none."
  type = object({
    interface     = optional(string)
    storage       = string
    user          = optional(string)
    ssh_keys      = optional(list(string), [])
    dns_servers   = optional(list(string), [])
    search_domain = optional(string)
  })
  default = null
}

variable "started" {
  description = "Whether the server is started when it is made. Later power changes are not Terraform's."
  type        = bool
  default     = true
}

variable "on_boot" {
  description = "Start the guest with its node; null: as the template has it."
  type        = bool
  default     = null
}

variable "agent" {
  description = "Whether the guest agent is enabled."
  type        = bool
  default     = true
}

variable "agent_timeout" {
  description = "How long a refresh waits for the guest agent of a running server. The provider's own 15 minutes are spent in full where no agent is installed."
  type        = string
  default     = "5s"
}
